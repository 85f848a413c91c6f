package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// TestGoldenEdits edits what diffusers edited with the same weights, seeds and
// schedulers: testdata/make_edits.py.
func TestGoldenEdits(t *testing.T) {
	renderer, library := openModels(t, "sd", "lcm", "sd2", "xl", "inpaint")
	data, err := os.ReadFile("testdata/edits.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for name, line := range cases {
		t.Run(name, func(t *testing.T) {
			picture := render(t, renderer, resolve(t, library, string(line)))
			got := decodePNG(t, picture.Data)
			want := decodePNG(t, mustRead(t, filepath.Join("testdata/edited", name+".png")))
			if picture.Width != want.Bounds().Dx() || picture.Height != want.Bounds().Dy() {
				t.Errorf("the picture's size is %dx%d", picture.Width, picture.Height)
			}
			compare(t, got, want, maxOff, meanOff)
		})
	}
}

func testInput(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join("testdata", name))
}

// TestEditsBesideOthers holds that an edit's bits are its own.
func TestEditsBesideOthers(t *testing.T) {
	renderer, library := openModels(t, "sd", "inpaint")
	var specs []job.Spec
	var alone [][]byte
	for _, model := range []string{"sd", "inpaint"} {
		for _, fields := range []string{`"seed": 1`, `"seed": 2, "sampler": "euler_ancestral", "strength": 0.5, "guidance_scale": 1`, `"seed": 3, "keep_unmasked": true, "strength": 1`} {
			spec := resolve(t, library, `{"kind": "edit", "image": "inputs/picture.png", "mask": "inputs/mask.png", "prompt": "a star", "steps": 6, "model": "`+model+`", `+fields+`}`)
			specs, alone = append(specs, spec), append(alone, render(t, renderer, spec).Data)
		}
	}
	var done []chan []byte
	for _, spec := range specs {
		result := make(chan []byte, 1)
		go func() { result <- render(t, renderer, spec).Data }()
		done = append(done, result)
	}
	for i, result := range done {
		if !bytes.Equal(<-result, alone[i]) {
			t.Errorf("edit %d has other bytes beside other jobs than alone", i)
		}
	}
}

// TestExtendedTooFar holds that a picture whose size the producer didn't know isn't
// extended to more than can be held.
func TestExtendedTooFar(t *testing.T) {
	renderer, library := openModels(t, "sd")
	spec, faults := job.Decode([]byte(`{"kind": "edit", "model": "sd", "image": "inputs/picture.png", "extend": {"left": 8192, "top": 8192}, "steps": 2}`))
	if faults == nil {
		spec, faults = spec.Resolve(library.Model)
	}
	if faults != nil {
		t.Fatal(faults)
	}
	_, err := renderer.Render(t.Context(), job.Order{Spec: spec, Input: testInput}, nil)
	expect(t, err, "extended, a picture of", "at most 64 million")
	if job.ClassOf(err) != job.BadJob {
		t.Errorf("its class is %q", job.ClassOf(err))
	}
}
