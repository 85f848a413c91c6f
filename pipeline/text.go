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
)

// textEncoder turns prompts into embeddings. It is safe for concurrent use.
type textEncoder struct {
	lanes     *lanes
	folder    *folder
	tokenizer *clip.Tokenizer
	log       *slog.Logger

	graphs    flights[int, *loadedGraph] // by the layers that are skipped
	recent    flights[textKey, []float32]
	truncated sync.Once
}

// textKey tells embeddings apart.
type textKey struct {
	prompt string
	skip   int
}

// maxRecent embeddings are kept, those last asked for: most jobs of a batch
// share a negative prompt, and many a prompt.
const maxRecent = 64

func loadTextEncoder(l *lanes, f *folder, log *slog.Logger) (*textEncoder, error) {
	files, err := fs.Sub(f.Files, "tokenizer")
	if err != nil {
		return nil, err
	}
	tokenizer, err := clip.Load(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file("tokenizer"), err)
	}
	t := &textEncoder{lanes: l, folder: f, tokenizer: tokenizer, log: log}
	t.recent.limit = maxRecent
	if _, err := t.graph(context.Background(), 0); err != nil {
		return nil, err
	}
	return t, nil
}

// graph returns the encoder without its last layers.
func (t *textEncoder) graph(ctx context.Context, skip int) (*loadedGraph, error) {
	return t.graphs.do(ctx, skip, func() (*loadedGraph, error) {
		return openGraph(t.lanes.runtime, t.folder, "text_encoder/model.onnx", func(m *onnx.Model) (output Port, variant string, err error) {
			_, output, err = only(m, 2, "last_hidden_state", 3)
			if err == nil && skip > 0 {
				if err = m.SkipLayers(output.Name, skip); err != nil {
					err = job.Bad(fmt.Errorf("clip_skip %d: %w", skip, err))
				}
				variant = fmt.Sprintf("-skip%d", skip)
			}
			return output, variant, err
		})
	})
}

// tokens is how many tokens every embedding has.
func (t *textEncoder) tokens() int { return t.tokenizer.MaxLength() }

// encode returns a prompt's embedding, [tokens width], which must not be
// changed. A prompt that is too long loses its end.
func (t *textEncoder) encode(ctx context.Context, prompt string, skip int) ([]float32, error) {
	return t.recent.do(ctx, textKey{prompt, skip}, func() ([]float32, error) { return t.run(ctx, prompt, skip) })
}

func (t *textEncoder) run(ctx context.Context, prompt string, skip int) ([]float32, error) {
	graph, err := t.graph(ctx, skip)
	if err != nil {
		return nil, err
	}
	ids, truncated := t.tokenizer.Encode(prompt)
	if truncated {
		level := slog.LevelInfo
		t.truncated.Do(func() { level = slog.LevelWarn }) // the first of maybe 100,000
		t.log.Log(ctx, level, "a prompt is too long for the text encoder: its end is left out", "model", t.folder.Name, "tokens", len(ids), "prompt", prompt)
	}
	tokens, width := int64(len(ids)), int64(t.folder.text.HiddenSize)
	embedding := make([]float32, tokens*width)
	call, err := graph.Bind(
		[]Tensor{{Name: graph.inputs[0].Name, Shape: []int64{1, tokens}, Ints: ids}},
		[]Tensor{{Name: graph.output.Name, Shape: []int64{1, tokens, width}, Floats: embedding}})
	if err != nil {
		return nil, err
	}
	defer call.Close()
	return embedding, t.lanes.alone(ctx, call)
}
