package pipeline

import (
	"fmt"

	"github.com/darkroom/darkroom/pipeline/clip"
	"github.com/darkroom/darkroom/pipeline/embedding"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// vectors reads an embedding's, [vectors width] by text encoder.
func (t *taught) vectors(word lesson) (vectors [][]float32, err error) {
	entry, _, err := t.library.find(word.ref, job.EmbeddingModel)
	if err != nil {
		return nil, err
	}
	err = entry.open(func(f *safetensors.File) error {
		outline, err := embedding.Outline(f)
		if err == nil {
			vectors, err = outline.Read(f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("embedding %s: %w", word.about.Name, err)
	}
	return vectors, nil
}

// extend appends the words' vectors to the table of a text encoder's tokens.
func (t *taught) extend(m *onnx.Model, f *folder, network string) error {
	for i, text := range f.text {
		if numbered("text_encoder", i) != network {
			continue
		}
		var rows []float32
		for _, word := range t.words {
			vectors, err := t.vectors(word)
			if err != nil {
				return err
			}
			if len(vectors) != len(f.text) || len(vectors[i]) != word.about.Vectors*text.HiddenSize {
				return fmt.Errorf("embedding %s is for text encoders of %v numbers a token", word.about.Name, word.about.EncoderWidths)
			}
			rows = append(rows, vectors[i]...)
		}
		if inputs := m.Inputs(); len(inputs) != 1 {
			return fmt.Errorf("it has the inputs %s; want one", portNames(inputs))
		}
		first, err := m.ExtendTable(m.Inputs()[0].Name, text.HiddenSize, rows)
		if err == nil && first != int64(text.vocabulary()) {
			err = fmt.Errorf("it has %d tokens, and its config.json says %d", first, text.vocabulary())
		}
		return err
	}
	return nil
}

// learn gives the words to the tokenizer, which they are some tokens behind all
// others for, in the order in which [taught.extend] lays their vectors.
func (t *textEncoder) learn(lessons *taught) (err error) {
	if lessons == nil || lessons.words == nil {
		return nil
	}
	next := int64(t.folder.text[t.number].vocabulary())
	if known := t.tokenizer.VocabularySize(); known > next {
		return fmt.Errorf("%s: it has ids up to %d, and the text encoder knows %d tokens", t.folder.file(numbered("tokenizer", t.number)), known-1, next)
	}
	t.words = map[int64]int{}
	for _, word := range lessons.words {
		one := clip.Word{Text: word.about.Token}
		t.words[next] = word.about.Vectors
		for range word.about.Vectors {
			one.IDs = append(one.IDs, next)
			next++
		}
		if t.tokenizer, err = t.tokenizer.With([]clip.Word{one}); err != nil {
			return fmt.Errorf("embedding %s: %w", word.about.Name, err)
		}
	}
	return nil
}
