package embedding

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/safetensors"
)

type tensor struct {
	name  string
	shape []int64
}

// open writes a file of F32 tensors, numbered from 0 on, and opens it.
func open(t *testing.T, tensors ...tensor) *safetensors.File {
	t.Helper()
	header := map[string]any{}
	var body []byte
	for _, one := range tensors {
		begin, size := len(body), int64(1)
		for _, n := range one.shape {
			size *= n
		}
		for i := range size {
			body, _ = binary.Append(body, binary.LittleEndian, float32(i))
		}
		header[one.name] = map[string]any{"dtype": "F32", "shape": one.shape, "data_offsets": []int{begin, len(body)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), append(text, body...)...)
	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOutline(t *testing.T) {
	for name, c := range map[string]struct {
		tensors []tensor
		token   string
		vectors int
		widths  []int
	}{
		"diffusers":        {[]tensor{{"<cat>", []int64{4}}}, "<cat>", 1, []int{4}},
		"of three vectors": {[]tensor{{"<cat>", []int64{3, 4}}}, "<cat>", 3, []int{4}},
		"A1111":            {[]tensor{{"emb_params", []int64{2, 4}}}, "", 2, []int{4}},
		"SDXL":             {[]tensor{{"clip_l", []int64{2, 4}}, {"clip_g", []int64{2, 6}}}, "", 2, []int{4, 6}},
	} {
		f := open(t, c.tensors...)
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
		"two words":       {[]tensor{{"<cat>", []int64{4}}, {"<dog>", []int64{4}}}, "no embedding"},
		"half a pair":     {[]tensor{{"clip_g", []int64{4}}}, "no embedding"},
		"four dimensions": {[]tensor{{"conv_in", []int64{4, 4, 3, 3}}}, "no embedding"},
		"no vectors":      {[]tensor{{"<cat>", []int64{0, 4}}}, "shape [0 4]"},
		"uneven pairs":    {[]tensor{{"clip_l", []int64{2, 4}}, {"clip_g", []int64{1, 6}}}, "want as many"},
		"numbers":         {[]tensor{{"clip_l", []int64{}}, {"clip_g", []int64{6}}}, "\"clip_l\" has the shape []"},
		"pairs of cubes":  {[]tensor{{"clip_l", []int64{4}}, {"clip_g", []int64{1, 1, 6}}}, "\"clip_g\" has the shape [1 1 6]"},
		"a blank":         {[]tensor{{"my cat", []int64{4}}}, "blank"},
	} {
		if e, err := Outline(open(t, c.tensors...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v %v, want %q", name, e, err, c.want)
		}
	}
}
