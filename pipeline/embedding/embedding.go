// Package embedding reads words that a text encoder learned after it was
// trained (textual inversion: Gal et al., arXiv 2208.01618) from safetensors
// files: of diffusers, which name the word, of the A1111 web UI, whose file's
// name is the word, and of SDXL, with vectors for two text encoders.
package embedding

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// Embedding is a word that stands for one or several tokens.
type Embedding struct {
	Token   string   // the word; empty: the file's name is
	Widths  []int    // numbers of a vector, by text encoder
	Vectors int      // tokens that the word becomes
	tensors []string // by text encoder
}

// nameless are the names of tensors whose word is the file's name.
var nameless = []string{"emb_params", "*", "string_to_param.*", "clip_l", "clip_g"}

// Is tells whether a file's tensors are those of an embedding.
func Is(f *safetensors.File) bool { return tensors(f) != nil }

// tensors are the names of the vectors, by text encoder, nil where a file is no
// embedding.
func tensors(f *safetensors.File) []string {
	switch names := f.Tensors; {
	case len(names) == 1 && len(names[0].Shape) >= 1 && len(names[0].Shape) <= 2 && names[0].Name != "clip_g":
		return []string{names[0].Name}
	case len(names) == 2 && names[0].Name == "clip_g" && names[1].Name == "clip_l":
		return []string{"clip_l", "clip_g"}
	}
	return nil
}

// Outline reads what a file says of its embedding, without the numbers.
func Outline(f *safetensors.File) (Embedding, error) {
	names := tensors(f)
	if names == nil {
		return Embedding{}, fmt.Errorf("it is no embedding: want one tensor, [width] or [vectors width], or clip_l and clip_g")
	}
	e := Embedding{tensors: names}
	for i, name := range names {
		t, _ := f.Find(name)
		if t.Size() == 0 || len(t.Shape) > 2 || len(t.Shape) < 1 {
			return Embedding{}, fmt.Errorf("%q has the shape %v, want [width] or [vectors width]", name, t.Shape)
		}
		vectors, width := 1, t.Shape[len(t.Shape)-1]
		if len(t.Shape) == 2 {
			vectors = int(t.Shape[0])
		}
		if i > 0 && vectors != e.Vectors {
			return Embedding{}, fmt.Errorf("%q has %d vectors and %q has %d, want as many", names[0], e.Vectors, name, vectors)
		}
		e.Vectors, e.Widths = vectors, append(e.Widths, int(width))
	}
	e.Token = names[0]
	for _, name := range nameless {
		if e.Token == name {
			e.Token = ""
		}
	}
	return e, CheckToken(e.Token)
}

// CheckToken refuses words that no prompt can hold as one.
func CheckToken(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("the word %q has a blank in it, which separates words in a prompt", token)
	}
	return nil
}

// Read returns the vectors of an outline's file, [vectors width] by text encoder.
func (e Embedding) Read(f *safetensors.File) ([][]float32, error) {
	all := make([][]float32, len(e.tensors))
	for i, name := range e.tensors {
		t, ok := f.Find(name)
		if !ok {
			return nil, fmt.Errorf("%q is gone", name)
		}
		var err error
		if all[i], err = f.Floats(t); err != nil {
			return nil, err
		}
	}
	return all, nil
}
