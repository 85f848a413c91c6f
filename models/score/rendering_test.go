package score_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// line is a job's fields.
type line = map[string]any

// studio renders with the models that are compiled in.
type studio struct {
	library  *pipeline.Library
	renderer *pipeline.Renderer
	jobs     int // at a time
}

func openStudio(t *testing.T) *studio {
	runtime := orttest.Open(t)
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	renderer := pipeline.New(runtime, library, "test")
	t.Cleanup(renderer.Close)
	return &studio{library, renderer, runtime.Device().Jobs()}
}

// render renders one job for each prompt, with its index as the seed. The
// pictures that the jobs' fields name lie in dir.
func (s *studio) render(t *testing.T, prompts []score.Prompt, dir string, fields func(score.Prompt) line) []image.Image {
	t.Helper()
	pictures := make([]image.Image, len(prompts))
	var lanes sync.WaitGroup
	next := make(chan int)
	for range s.jobs {
		lanes.Go(func() {
			for i := range next {
				fields := fields(prompts[i])
				fields["prompt"], fields["seed"] = prompts[i].Prompt, i
				img, err := s.draw(t.Context(), dir, fields)
				if err != nil {
					t.Errorf("%s: %v", prompts[i].ID, err)
				}
				pictures[i] = img
			}
		})
	}
	for i := range prompts {
		next <- i
	}
	close(next)
	lanes.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return pictures
}

func (s *studio) draw(ctx context.Context, dir string, fields line) (image.Image, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	spec, faults := job.Decode(text)
	if faults == nil {
		spec, faults = spec.Locate(func(path string) (job.Input, error) {
			file, err := os.Open(filepath.Join(dir, path))
			if err != nil {
				return job.Input{}, err
			}
			defer file.Close()
			config, err := png.DecodeConfig(file)
			return job.Input{Name: path, Width: config.Width, Height: config.Height}, err
		})
	}
	if faults == nil {
		spec, faults = spec.Resolve(s.library.Model)
	}
	if faults != nil {
		return nil, faults
	}
	input := func(_ context.Context, name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) }
	picture, err := s.renderer.Render(ctx, job.Order{Spec: spec, Input: input}, nil)
	if err != nil {
		return nil, err
	}
	return png.Decode(bytes.NewReader(picture.Data))
}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

func readPrompts(t *testing.T, path string) []score.Prompt {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	prompts, err := score.ReadPrompts(file)
	if err != nil {
		t.Fatal(err)
	}
	return prompts
}

func mean(values []float64) float64 {
	sum := 0.
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
