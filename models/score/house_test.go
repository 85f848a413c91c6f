package score_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestHouse renders prompts that training never saw through the pipeline and
// holds how many show what they say against the committed floor.
func TestHouse(t *testing.T) {
	runtime := orttest.Open(t)
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: map[string]fs.FS{"house": models.House()}, Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	house, err := library.Model("house")
	if err != nil {
		t.Fatal(err)
	}
	renderer := pipeline.New(runtime, library, "test")
	defer renderer.Close()

	prompts := readPrompts(t)
	results := make([]score.Result, len(prompts))
	var lanes sync.WaitGroup
	next := make(chan int)
	for range runtime.Device().Jobs() {
		lanes.Go(func() {
			for i := range next {
				results[i] = render(t, renderer, house, prompts[i], uint64(i))
			}
		})
	}
	for i := range prompts {
		next <- i
	}
	close(next)
	lanes.Wait()

	var table score.Table
	for i, p := range prompts {
		table.Add(p, results[i])
	}
	var text strings.Builder
	if err := table.Write(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("the house model, %% of %d held-out prompts:\n%s", len(prompts), text.String())
	if err := readFloor(t).Check(table); err != nil {
		t.Error(err)
	}
}

func render(t *testing.T, renderer *pipeline.Renderer, house job.Model, p score.Prompt, seed uint64) score.Result {
	line, err := json.Marshal(map[string]any{"prompt": p.Prompt, "seed": seed})
	if err != nil {
		t.Error(err)
		return score.Result{}
	}
	spec, faults := job.Decode(line)
	if faults == nil {
		spec, faults = spec.Resolve(house)
	}
	if faults != nil {
		t.Errorf("%s: %v", p.ID, faults)
		return score.Result{}
	}
	picture, err := renderer.Render(t.Context(), spec, nil)
	if err != nil {
		t.Errorf("%s: %v", p.ID, err)
		return score.Result{}
	}
	img, err := png.Decode(bytes.NewReader(picture.Data))
	if err != nil {
		t.Errorf("%s: %v", p.ID, err)
		return score.Result{}
	}
	return score.Check(img, p.Scene)
}

func readPrompts(t *testing.T) []score.Prompt {
	t.Helper()
	file, err := os.Open("testdata/heldout.jsonl")
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

func readFloor(t *testing.T) (floor score.Floor) {
	t.Helper()
	data, err := os.ReadFile("testdata/floor.json")
	if err == nil {
		err = json.Unmarshal(data, &floor)
	}
	if err != nil {
		t.Fatal(err)
	}
	return floor
}
