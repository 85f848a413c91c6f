package pipeline

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/lora"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// lessons are what a pipeline, or a part of it, learns for a job beside what its
// weights hold: LoRAs and embeddings. nil is none.
type lessons struct {
	loras []lesson // ordered by digest, so that the same set makes the same sums
	words []lesson // ordered by name
}

// lesson is a LoRA or an embedding of a job.
type lesson struct {
	ref   string // name@digest
	scale float64
	about job.Model
}

// lessons looks up what a resolved job wants its pipeline to learn.
func (r *Renderer) lessons(spec job.Spec) (*lessons, error) {
	all := &lessons{}
	look := func(ref string, scale float64, kind job.ModelKind) (lesson, error) {
		about, err := r.taught.do(context.Background(), ref, func() (job.Model, error) {
			_, m, err := r.library.find(ref, kind)
			return m, err
		})
		return lesson{ref, scale, about}, err
	}
	for _, l := range job.ActiveLoRAs(spec.LoRAs) {
		one, err := look(l.Name, l.Scale, job.LoRAModel)
		if err != nil {
			return nil, err
		}
		all.loras = append(all.loras, one)
	}
	for _, ref := range slices.Sorted(slices.Values(spec.Embeddings)) {
		one, err := look(ref, 1, job.EmbeddingModel)
		if err != nil {
			return nil, err
		}
		all.words = append(all.words, one)
	}
	return all, nil
}

// of are the lessons for a part of the pipeline, nil where there are none.
func (l *lessons) of(p part) *lessons {
	mine := &lessons{}
	for _, one := range l.loras {
		if slices.ContainsFunc(one.about.Parts, func(network string) bool { return p.holds(network) }) {
			mine.loras = append(mine.loras, one)
		}
	}
	if p == textPart {
		mine.words = l.words
	}
	if mine.loras == nil && mine.words == nil {
		return nil
	}
	return mine
}

// key tells lessons apart; it is empty for none. An embedding's name may be its
// word.
func (l *lessons) key() string { return l.write(func(one lesson) string { return one.ref }) }

// names are what a person calls the lessons.
func (l *lessons) names() string {
	return l.write(func(one lesson) string { return one.about.Name })
}

func (l *lessons) write(name func(lesson) string) string {
	if l == nil {
		return ""
	}
	var b strings.Builder
	for _, one := range l.loras {
		fmt.Fprintf(&b, " + %g %s", one.scale, name(one))
	}
	for _, one := range l.words {
		fmt.Fprintf(&b, " + %s", name(one))
	}
	return b.String()
}

// taught are the lessons of a part that is loaded. Each of its graphs reads what
// concerns it when it is made, and again where it is made again: numbers as many
// as a LoRA's would lie about as long as the part does.
type taught struct {
	*lessons
	library *Library
	variant string // tells a graph that learned them from others
}

// from has graphs learn the lessons from a library's files.
func (l *lessons) from(library *Library) *taught {
	sum := sha256.Sum256([]byte(l.key()))
	return &taught{l, library, fmt.Sprintf("-with-%x", sum[:8])}
}

// layers reads what a LoRA adds to a network.
func (t *taught) layers(one lesson, network lora.Part) (layers []lora.Layer, err error) {
	if !slices.Contains(one.about.Parts, string(network)) {
		return nil, nil
	}
	entry, _, err := t.library.find(one.ref, job.LoRAModel)
	if err != nil {
		return nil, err
	}
	err = entry.open(func(f *safetensors.File) (err error) {
		layers, err = lora.Read(f, network)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("LoRA %s: %w", one.about.Name, err)
	}
	return layers, nil
}

// teach changes a graph of the model, and tells whether there was anything to
// change.
func (t *taught) teach(m *onnx.Model, f *folder, graph string) (changed bool, err error) {
	network := strings.TrimSuffix(graph, "/"+graphFile)
	products, err := t.products(m, f, lora.Part(network))
	if err != nil {
		return false, err
	}
	for _, one := range products {
		one.add(m)
	}
	if strings.HasPrefix(network, "text_encoder") && t.words != nil {
		return true, t.extend(m, f, network)
	}
	return len(products) > 0, nil
}
