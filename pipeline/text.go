package pipeline

import (
	"context"
	"fmt"
	"log/slog"
)

// text is a prompt as the UNet takes it.
type text struct {
	states []float32 // [tokens width]
	tokens int
	pooled []float32 // the whole as one vector, where the model has one
}

// texts turns prompts into what the UNet takes, with all of a model's text
// encoders. It is safe for concurrent use.
type texts struct {
	encoders []*textEncoder
	recent   flights[textKey, text]
}

// phrase is a prompt and how it is read.
type phrase struct {
	prompt string
	syntax string // of the prompt; empty: plain text
}

// textKey tells texts apart.
type textKey struct {
	phrase
	skip   int
	chunks int
}

// maxRecent texts are kept, those last asked for: most jobs of a batch share a
// negative prompt, and many a prompt.
const maxRecent = 64

func loadTexts(l *lanes, f *folder, log *slog.Logger) (*texts, error) {
	t := &texts{}
	t.recent.limit = maxRecent
	for i := range f.text {
		e, err := loadTextEncoder(l, f, i, log)
		if err != nil {
			t.close()
			return nil, err
		}
		t.encoders = append(t.encoders, e)
		if own, first := e.tokenizer.MaxLength(), t.encoders[0].tokenizer.MaxLength(); own != first {
			t.close()
			return nil, fmt.Errorf("%s: it makes %d tokens of a prompt, and the first one %d", f.file(numbered("tokenizer", i)), own, first)
		}
	}
	return t, nil
}

// chunks is how many calls of an encoder a phrase takes at least.
func (t *texts) chunks(p phrase) (int, error) {
	if p.syntax == "" {
		return 1, nil
	}
	most := 1
	for _, e := range t.encoders {
		chunks, err := e.chunks(p)
		if err != nil {
			return 0, err
		}
		most = max(most, len(chunks))
	}
	return most, nil
}

// encode returns a phrase's text, which must not be changed. It takes so many
// chunks, of which those beyond the phrase's own are empty. A plain prompt that
// is too long for one chunk loses its end.
func (t *texts) encode(ctx context.Context, p phrase, skip, chunks int) (text, error) {
	return t.recent.do(ctx, textKey{p, skip, chunks}, func() (text, error) {
		var whole text
		width := 0
		for _, e := range t.encoders {
			part, err := e.encode(ctx, p, skip, chunks)
			if err != nil {
				return text{}, err
			}
			whole.states = beside(whole.states, width, part.states, e.width)
			width += e.width
			whole.tokens, whole.pooled = part.tokens, part.pooled
		}
		return whole, nil
	})
}

// beside lays the rows of b, so many numbers each, behind those of a.
func beside(a []float32, widthA int, b []float32, widthB int) []float32 {
	if a == nil {
		return b
	}
	rows := make([]float32, 0, len(a)+len(b))
	for ; len(b) > 0; a, b = a[widthA:], b[widthB:] {
		rows = append(append(rows, a[:widthA]...), b[:widthB]...)
	}
	return rows
}

// zeros is the text of no prompt at all, for models that were trained with it.
func (t *texts) zeros(like text) text {
	return text{make([]float32, len(like.states)), like.tokens, make([]float32, len(like.pooled))}
}

func (t *texts) close() {
	for _, e := range t.encoders {
		e.graphs.all(func(g *loadedGraph) { g.Close() })
	}
}
