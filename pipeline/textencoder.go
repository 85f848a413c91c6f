package pipeline

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/darkroom/darkroom/pipeline/clip"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/prompt"
)

// textEncoder is one text encoder and its tokenizer. It is safe for concurrent use.
type textEncoder struct {
	lanes     *lanes
	folder    *folder
	number    int // among the model's
	width     int // of a token's embedding
	tokenizer *clip.Tokenizer
	words     map[int64]int // tokens of each word that it has learned, by the first one's id
	log       *slog.Logger

	graphs    flights[int, *loadedGraph] // by the layers that are skipped
	truncated sync.Once
}

func loadTextEncoder(l *lanes, f *folder, number int, log *slog.Logger) (*textEncoder, error) {
	name := numbered("tokenizer", number)
	files, err := fs.Sub(f.Files, name)
	if err != nil {
		return nil, err
	}
	tokenizer, err := clip.Load(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(name), err)
	}
	t := &textEncoder{lanes: l, folder: f, number: number, width: f.text[number].HiddenSize, tokenizer: tokenizer, log: log}
	if err := t.learn(f.taught); err != nil {
		return nil, err
	}
	if _, err := t.graph(context.Background(), 0); err != nil {
		return nil, err
	}
	return t, nil
}

// graph returns the encoder without its last layers.
func (t *textEncoder) graph(ctx context.Context, skip int) (*loadedGraph, error) {
	return t.graphs.do(ctx, skip, func() (*loadedGraph, error) {
		name := numbered("text_encoder", t.number) + "/model.onnx"
		return openGraph(t.lanes.runtime, t.folder, name, func(m *onnx.Model) (outputs []Port, variant string, err error) {
			if skip > 0 {
				variant = fmt.Sprintf("-skip%d", skip)
			}
			if t.folder.isXL() {
				outputs, err = t.hiddenState(m, skip)
			} else {
				outputs, err = lastState(m, skip)
			}
			return outputs, variant, err
		})
	})
}

// lastState cuts layers off the graph's end: what is left passes through the
// final norm.
func lastState(m *onnx.Model, skip int) ([]Port, error) {
	_, output, err := only(m, 2, "last_hidden_state", 3)
	if err == nil && skip > 0 {
		if err = m.SkipLayers(output.Name, skip); err != nil {
			err = job.Bad(fmt.Errorf("clip_skip %d: %w", skip, err))
		}
	}
	return []Port{output}, err
}

// hiddenState picks what SDXL takes: the last layer but one as it is, or one so
// many before it, and the second encoder's pooled text.
func (t *textEncoder) hiddenState(m *onnx.Model, skip int) ([]Port, error) {
	_, output, err := only(m, 2, fmt.Sprintf("hidden_states.%d", t.folder.text[t.number].Layers-1-skip), 3)
	outputs := []Port{output}
	if err == nil && t.number == 1 {
		pooled, ok := findPort(m.Outputs(), "text_embeds")
		if !ok {
			return nil, fmt.Errorf("it has the outputs %s; want text_embeds", portNames(m.Outputs()))
		}
		err = checkRank(pooled, 2)
		outputs = append(outputs, pooled)
	}
	return outputs, err
}

// encode encodes a phrase in so many chunks, one behind the other. The whole as
// one vector is the first one's.
func (t *textEncoder) encode(ctx context.Context, p phrase, skip, chunks int) (text, error) {
	list, err := t.chunks(p)
	if err != nil {
		return text{}, err
	}
	for len(list) < chunks {
		list = append(list, frame(t.tokenizer, prompt.Chunk{}))
	}
	var whole text
	for i, chunk := range list {
		part, err := t.run(ctx, chunk.IDs, skip)
		if err != nil {
			return text{}, err
		}
		weigh(part.states, t.width, chunk.Weights)
		whole.states = append(whole.states, part.states...)
		whole.tokens += part.tokens
		if i == 0 {
			whole.pooled = part.pooled
		}
	}
	return whole, nil
}

func (t *textEncoder) warn(prompt string, tokens int) {
	level := slog.LevelInfo
	t.truncated.Do(func() { level = slog.LevelWarn }) // the first of maybe 100,000
	t.log.Log(context.Background(), level, "a prompt is too long for the text encoder: its end is left out", "model", t.folder.Name, "tokens", tokens, "prompt", prompt)
}

// run encodes a chunk of tokens.
func (t *textEncoder) run(ctx context.Context, ids []int64, skip int) (text, error) {
	graph, err := t.graph(ctx, skip)
	if err != nil {
		return text{}, err
	}
	tokens, width := int64(len(ids)), int64(t.width)
	made := text{states: make([]float32, tokens*width), tokens: len(ids)}
	outputs := []Tensor{{Name: graph.outputs[0].Name, Shape: []int64{1, tokens, width}, Floats: made.states}}
	if len(graph.outputs) == 2 {
		size := t.folder.text[t.number].ProjectionDim
		made.pooled = make([]float32, size)
		outputs = append(outputs, Tensor{Name: graph.outputs[1].Name, Shape: []int64{1, int64(size)}, Floats: made.pooled})
	}
	call, err := graph.Bind([]Tensor{{Name: graph.inputs[0].Name, Shape: []int64{1, tokens}, Ints: ids}}, outputs)
	if err != nil {
		return text{}, err
	}
	defer call.Close()
	return made, t.lanes.alone(ctx, call)
}
