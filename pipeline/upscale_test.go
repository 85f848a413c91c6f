package pipeline_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// TestGoldenUpscales enlarges what diffusers enlarged with the same weights,
// seeds and schedulers: testdata/make_upscales.py.
func TestGoldenUpscales(t *testing.T) {
	renderer, library := openModels(t, "x4")
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(mustRead(t, "testdata/upscales.json"), &cases); err != nil {
		t.Fatal(err)
	}
	for name, line := range cases {
		t.Run(name, func(t *testing.T) {
			picture := render(t, renderer, resolve(t, library, string(line)))
			want := decodePNG(t, mustRead(t, filepath.Join("testdata/upscaled", name+".png")))
			if picture.Width != want.Bounds().Dx() || picture.Height != want.Bounds().Dy() {
				t.Errorf("the picture's size is %dx%d", picture.Width, picture.Height)
			}
			compare(t, decodePNG(t, picture.Data), want, maxOff, meanOff)
		})
	}
}
