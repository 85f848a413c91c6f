package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestWeightsElsewhere holds that a graph's weights lie beside it, wherever it
// says that they are.
func TestWeightsElsewhere(t *testing.T) {
	runtime := orttest.Open(t)
	const location = "model.onnx_data"
	line := `{"model": "tiny", "prompt": "a circle", "steps": 1}`
	for name, c := range map[string]struct {
		location string // as long as the one above, so that the graph stays whole
		place    string // where the weights are moved, in the model's folder
		want     string // empty: it renders
	}{
		"above":              {"../weights_data", "weights_data", `its weights are in "../weights_data", want a file beside it`},
		"absolute":           {"/secret/weights", "unet/secret/weights", `its weights are in "/secret/weights", want a file beside it`},
		"below":              {"sub/weight_data", "unet/sub/weight_data", `want a file beside it`},
		"a backslash":        {`..\weights_data`, `unet/..\weights_data`, `want a file beside it`},
		"not in the digest":  {"weights_dat.bin", "unet/weights_dat.bin", "none of the files that make up a model"},
		"a link that leaves": {location, "../outside/data", "a link to "},
		"a link that stays":  {location, "unet/weights_data", ""},
		"where they belong":  {location, "unet/" + location, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder := filepath.Join(dir, "library", "tiny")
			layModel(t, folder, "external")
			graph, weights := filepath.Join(folder, "unet/model.onnx"), filepath.Join(folder, "unet", location)
			data, err := os.ReadFile(graph)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.location) != len(location) || !strings.Contains(string(data), location) {
				t.Fatalf("%q can't stand for %s", c.location, location)
			}
			write(t, graph, strings.ReplaceAll(string(data), location, c.location))
			move := func(from, to string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			place := filepath.Join(folder, c.place)
			move(weights, place)
			if c.location == location && place != weights {
				if err := os.Symlink(place, weights); err != nil {
					t.Fatal(err)
				}
			}
			library := openLibrary(t, filepath.Join(dir, "library"))
			renderer := pipeline.New(runtime, library, "test")
			defer renderer.Close()
			_, err = renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, line)}, nil)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			expect(t, err, "unet/model.onnx", c.want)
			if job.ClassOf(err) != job.BadJob {
				t.Errorf("its class is %q", job.ClassOf(err))
			}
		})
	}
}
