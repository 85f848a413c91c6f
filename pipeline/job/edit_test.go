package job_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// locate finds one picture, of 300x200 pixels, and a mask of that size.
func locate(path string) (job.Input, error) {
	switch path {
	case "photo.png", "mask.png", "copy/photo.png":
		return job.Input{Name: job.InputName(strings.Repeat("ab", 32), "png"), Width: 300, Height: 200}, nil
	case "tiny.png":
		return job.Input{Name: job.InputName(strings.Repeat("cd", 32), "png"), Width: 20, Height: 200}, nil
	case "speck.png":
		return job.Input{Name: job.InputName(strings.Repeat("ef", 32), "png"), Width: 7, Height: 200}, nil
	case "huge.png":
		return job.Input{Name: job.InputName(strings.Repeat("01", 32), "png"), Width: 4000, Height: 3000}, nil
	}
	return job.Input{}, errors.New("no such file")
}

// Edits take their size from the picture, and their strength from what they do.
func TestEditDefaults(t *testing.T) {
	for line, want := range map[string]struct {
		width, height int
		strength      float64
	}{
		`{"kind": "edit", "image": "photo.png"}`:                                        {288, 192, .8},
		`{"kind": "edit", "image": "photo.png", "width": 64}`:                           {64, 192, .8},
		`{"kind": "edit", "image": "photo.png", "extend": {"left": 20, "top": 24}}`:     {320, 224, 1},
		`{"kind": "edit", "image": "photo.png", "mask": "mask.png", "mask_padding": 0}`: {128, 128, .8},
		`{"kind": "edit", "image": "photo.png", "strength": 0.25}`:                      {288, 192, .25},
	} {
		spec, faults := decode(t, line).Locate(locate)
		if faults == nil {
			spec, faults = spec.Resolve(find(house))
		}
		if faults != nil || spec.Width != want.width || spec.Height != want.height || spec.Strength != want.strength {
			t.Errorf("%s: %dx%d with strength %v (%v), want %v", line, spec.Width, spec.Height, spec.Strength, faults, want)
		}
	}
}

// A job's key holds its picture's content, not where it lies.
func TestEditKeys(t *testing.T) {
	keys := map[job.Key]string{}
	for _, image := range []string{"photo.png", "copy/photo.png", "tiny.png"} {
		spec, faults := decode(t, `{"kind": "edit", "width": 64, "height": 64, "image": "`+image+`"}`).Locate(locate)
		if faults == nil {
			spec, faults = spec.Resolve(find(house))
		}
		if faults != nil {
			t.Fatal(faults)
		}
		keys[spec.Key()] += image + " "
	}
	if len(keys) != 2 {
		t.Errorf("%v, want the same picture under one key", keys)
	}
}

func TestEditFaults(t *testing.T) {
	blind, painter := house, house
	blind.Encoder, painter.Inpainting = false, true
	for _, c := range []struct {
		line  string
		model job.Model
		want  string
	}{
		{`{"kind": "edit", "image": "none.png"}`, house, "`image`: none.png: no such file"},
		{`{"kind": "edit", "image": "tiny.png"}`, house, "`image`: its width of 20 pixels is less than the 32"},
		{`{"kind": "edit", "image": "photo.png", "mask": "tiny.png"}`, house, "`mask`: its 20x200 pixels are not those of the image, want 300x200"},
		{`{"kind": "edit", "image": "photo.png", "strength": 0.04}`, house, "`strength`: 0.04 of 20 steps is less than one step, want at least 0.05"},
		{`{"kind": "edit", "image": "photo.png"}`, blind, "`kind`: out of place `edit`, this model has no VAE encoder"},
		{`{"kind": "edit", "image": "photo.png"}`, painter, "`mask`: missing, this model only paints the part"},
		{`{"kind": "edit", "image": "huge.png", "extend": {"left": 8192, "bottom": 8192}, "width": 64, "height": 64}`, house, "`extend`: extended, a picture of 4000x3000 pixels has 12192x11192, and at most 64 million can be held"},
		{`{}`, painter, "`kind`: out of place `generate`, this model only paints parts"},
	} {
		spec, faults := decode(t, c.line).Locate(locate)
		_, more := spec.Resolve(find(c.model))
		if got := append(faults, more...).Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.line, got, c.want)
		}
	}
}
