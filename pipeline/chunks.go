package pipeline

import (
	"slices"

	"github.com/darkroom/darkroom/pipeline/clip"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/prompt"
)

// chunks cuts a phrase into as much as the encoder takes at a time: the ids
// with begin, end and padding, and a weight for each. A plain prompt is one.
func (t *textEncoder) chunks(p phrase) ([]prompt.Chunk, error) {
	if p.syntax != job.A1111 {
		ids, truncated := t.tokenizer.Encode(p.prompt)
		if truncated {
			t.warn(p.prompt, len(ids))
		}
		return []prompt.Chunk{{IDs: ids}}, nil
	}
	parts, err := prompt.Parse(p.prompt)
	if err != nil {
		return nil, job.Bad(err)
	}
	tokens := prompt.Tokens{Room: t.tokenizer.MaxLength() - 2, Comma: -1, IDs: t.tokenizer.Tokens, Words: t.words}
	if comma := t.tokenizer.Tokens(","); len(comma) == 1 {
		tokens.Comma = comma[0]
	}
	chunks := tokens.Chunks(parts)
	for i := range chunks {
		chunks[i] = frame(t.tokenizer, chunks[i])
	}
	return chunks, nil
}

// frame puts begin, end and padding around a chunk.
func frame(tokenizer *clip.Tokenizer, c prompt.Chunk) prompt.Chunk {
	framed := prompt.Chunk{IDs: tokenizer.Frame(c.IDs), Weights: make([]float32, tokenizer.MaxLength())}
	for i := range framed.Weights {
		framed.Weights[i] = 1
	}
	copy(framed.Weights[1:], c.Weights)
	return framed
}

// weigh multiplies each token's state by its weight, and all by what gives them
// back the mean that they had, as the A1111 web UI does.
func weigh(states []float32, width int, weights []float32) {
	if !slices.ContainsFunc(weights, func(w float32) bool { return w != 1 }) {
		return
	}
	before := mean(states)
	for i := range states {
		states[i] *= weights[i/width]
	}
	after := mean(states)
	if after == 0 {
		return
	}
	ratio := float32(before / after)
	for i := range states {
		states[i] *= ratio
	}
}

func mean(x []float32) float64 {
	sum := 0.
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
