package embedding

import (
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/safetensors/safetensorstest"
)

type tensor = safetensorstest.Tensor

var f32 = safetensorstest.F32

func TestOutline(t *testing.T) {
	for name, c := range map[string]struct {
		tensors []tensor
		token   string
		vectors int
		widths  []int
	}{
		"diffusers":        {[]tensor{f32("<cat>", 0, 4)}, "<cat>", 1, []int{4}},
		"of three vectors": {[]tensor{f32("<cat>", 0, 3, 4)}, "<cat>", 3, []int{4}},
		"A1111":            {[]tensor{f32("emb_params", 0, 2, 4)}, "", 2, []int{4}},
		"SDXL":             {[]tensor{f32("clip_l", 0, 2, 4), f32("clip_g", 0, 2, 6)}, "", 2, []int{4, 6}},
	} {
		f := safetensorstest.Open(t, nil, c.tensors...)
		e, err := Outline(f)
		if err != nil || e.Token != c.token || e.Vectors != c.vectors || !slices.Equal(e.Widths, c.widths) || !Is(f) {
			t.Errorf("%s: %+v %v", name, e, err)
			continue
		}
		all, err := e.Read(f)
		if err != nil || len(all) != len(c.widths) {
			t.Errorf("%s: %v %v", name, all, err)
			continue
		}
		for i, vectors := range all {
			if len(vectors) != c.vectors*c.widths[i] || vectors[1] != 1 {
				t.Errorf("%s: vectors %v", name, vectors)
			}
		}
	}
}

func TestOutlineFails(t *testing.T) {
	for name, c := range map[string]struct {
		tensors []tensor
		want    string
	}{
		"nothing":         {nil, "no embedding"},
		"two words":       {[]tensor{f32("<cat>", 0, 4), f32("<dog>", 0, 4)}, "no embedding"},
		"half a pair":     {[]tensor{f32("clip_g", 0, 4)}, "no embedding"},
		"four dimensions": {[]tensor{f32("conv_in", 0, 4, 4, 3, 3)}, "no embedding"},
		"no vectors":      {[]tensor{f32("<cat>", 0, 0, 4)}, "shape [0 4]"},
		"uneven pairs":    {[]tensor{f32("clip_l", 0, 2, 4), f32("clip_g", 0, 1, 6)}, "want as many"},
		"numbers":         {[]tensor{f32("clip_l", 0), f32("clip_g", 0, 6)}, "\"clip_l\" has the shape []"},
		"pairs of cubes":  {[]tensor{f32("clip_l", 0, 4), f32("clip_g", 0, 1, 1, 6)}, "\"clip_g\" has the shape [1 1 6]"},
		"a blank":         {[]tensor{f32("my cat", 0, 4)}, "blank"},
	} {
		if e, err := Outline(safetensorstest.Open(t, nil, c.tensors...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v %v, want %q", name, e, err, c.want)
		}
	}
}
