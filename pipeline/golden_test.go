package pipeline_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// How far a picture may be from diffusers', in levels of 0 .. 255.
const (
	maxOff  = 2
	meanOff = .05
)

// TestGolden draws what diffusers drew with the same weights, seeds and
// schedulers: testdata/make_goldens.py.
func TestGolden(t *testing.T) {
	renderer, library := openModels(t, "sd", "lcm", "sd2", "xl", "normed")
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for name, line := range cases {
		t.Run(name, func(t *testing.T) {
			got := decodePNG(t, render(t, renderer, resolve(t, library, string(line))).Data)
			file, err := os.ReadFile(filepath.Join("testdata", "golden", name+".png"))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, decodePNG(t, file), maxOff, meanOff)
		})
	}
}

// TestVariants draws the same pictures with graphs that other exporters write:
// the timestep of rank 0 or 1, a float or an integer; 32-bit tokens; half
// precision; weights in a file of their own.
func TestVariants(t *testing.T) {
	renderer, library := openModels(t, "sd", "int32", "int64", "half", "external")
	// DDIM's timesteps are whole: cutting off fractions changes nothing.
	const line = `{"prompt": "a large red circle", "seed": 5, "steps": 6, "sampler": "ddim", "width": 80, "height": 64, "model": `
	want := decodePNG(t, render(t, renderer, resolve(t, library, line+`"sd"}`)).Data)
	for model, off := range map[string][2]float64{
		"int32": {0, 0}, "int64": {0, 0}, "external": {0, 0},
		"half": {6, .6}, // about a thousandth at each of many operations
	} {
		t.Run(model, func(t *testing.T) {
			got := decodePNG(t, render(t, renderer, resolve(t, library, line+`"`+model+`"}`)).Data)
			compare(t, got, want, off[0], off[1])
		})
	}
}

// TestClipSkipAtOldOpsets skips layers of a text encoder from before ONNX had a
// layer norm, whose nodes and values have other names.
func TestClipSkipAtOldOpsets(t *testing.T) {
	renderer, library := openModels(t, "sd", "opset14")
	const line = `{"prompt": "a large red circle", "steps": 3, "clip_skip": 2, "model": `
	want := decodePNG(t, render(t, renderer, resolve(t, library, line+`"sd"}`)).Data)
	got := decodePNG(t, render(t, renderer, resolve(t, library, line+`"opset14"}`)).Data)
	compare(t, got, want, maxOff, meanOff)
}

// openModels returns a renderer for models of testdata: sd, and variants laid
// over it.
func openModels(t testing.TB, names ...string) (*pipeline.Renderer, *pipeline.Library) {
	t.Helper()
	runtime := orttest.Open(t)
	folder := t.TempDir()
	for _, name := range names {
		layModel(t, filepath.Join(folder, name), name)
	}
	library := openLibrary(t, folder)
	renderer := pipeline.New(runtime, library, "0.0.0")
	t.Cleanup(renderer.Close)
	return renderer, library
}

// layModel makes a model's folder: testdata/sd, and over it the variants.
func layModel(t testing.TB, folder string, names ...string) {
	t.Helper()
	sources := []string{"testdata/sd"}
	for _, name := range names {
		if name != "sd" {
			sources = append(sources, filepath.Join("testdata/variants", name))
		}
	}
	for _, source := range sources {
		err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(source, path)
			if err != nil {
				return err
			}
			target := filepath.Join(folder, relative)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openLibrary(t testing.TB, folders ...string) *pipeline.Library {
	t.Helper()
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: folders, Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// resolve reads a job's line, whose pictures lie in testdata.
func resolve(t testing.TB, library *pipeline.Library, line string) job.Spec {
	t.Helper()
	spec, faults := job.Decode([]byte(line))
	if faults != nil {
		t.Fatal(faults)
	}
	spec, faults = spec.Locate(func(path string) (job.Input, error) {
		data, err := testInput(t.Context(), path)
		if err != nil {
			return job.Input{}, err
		}
		file, err := imaging.Open(data)
		if err != nil {
			return job.Input{}, err
		}
		return job.Input{Name: path, Width: file.Width, Height: file.Height}, nil
	})
	if faults != nil {
		t.Fatal(faults)
	}
	spec, faults = spec.Resolve(library.Model)
	if faults != nil {
		t.Fatal(faults)
	}
	return spec
}

// render draws a job whose pictures lie in testdata.
func render(t testing.TB, renderer *pipeline.Renderer, spec job.Spec) job.Picture {
	t.Helper()
	picture, err := renderer.Render(t.Context(), job.Order{Spec: spec, Input: testInput}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func decodePNG(t testing.TB, data []byte) image.Image {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// compare holds a picture's pixels against another's.
func compare(t *testing.T, got, want image.Image, most, mean float64) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("the picture is %v, want %v", got.Bounds(), want.Bounds())
	}
	worst, sum, count := 0., 0., 0.
	for y := range got.Bounds().Dy() {
		for x := range got.Bounds().Dx() {
			r, g, b, _ := got.At(x, y).RGBA()
			r2, g2, b2, _ := want.At(x, y).RGBA()
			for _, pair := range [][2]uint32{{r, r2}, {g, g2}, {b, b2}} {
				off := max(float64(pair[0]>>8)-float64(pair[1]>>8), float64(pair[1]>>8)-float64(pair[0]>>8))
				worst, sum, count = max(worst, off), sum+off, count+1
			}
		}
	}
	t.Logf("off by at most %g, %.4f on average", worst, sum/count)
	if worst > most || sum/count > mean {
		t.Errorf("off by at most %g, %.4f on average; want %g and %g", worst, sum/count, most, mean)
	}
}
