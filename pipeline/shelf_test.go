package pipeline_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// counted counts the graphs that are loaded and those that are still open.
type counted struct {
	pipeline.Runtime
	device       pipeline.Device
	loaded, open atomic.Int64
}

func (r *counted) Device() pipeline.Device { return r.device }
func (r *counted) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	graph, err := r.Runtime.Load(file)
	if err == nil {
		r.loaded.Add(1)
		r.open.Add(1)
	}
	return &countedGraph{graph, r}, err
}

type countedGraph struct {
	pipeline.Graph
	runtime *counted
}

func (g *countedGraph) Close() error {
	g.runtime.open.Add(-1)
	return g.Graph.Close()
}

const graphsOfAModel = 3

// twoModels lays two models of one size but of different weights, and returns
// it. What is logged goes to log.
func twoModels(t *testing.T, log *bytes.Buffer) (*pipeline.Library, int64) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"a", "b"} {
		layModel(t, filepath.Join(folder, name), "external")
	}
	path := filepath.Join(folder, "b", "unet", "model.onnx_data")
	weights := mustRead(t, path)
	for i := 3; i < len(weights); i += 40 {
		weights[i] ^= 0x80 // the sign of every tenth
	}
	write(t, path, string(weights))
	size := int64(0)
	err := filepath.Walk(filepath.Join(folder, "a"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{folder}, Cache: t.TempDir(), Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return library, size
}

func alternating(t *testing.T, library *pipeline.Library, n int) (specs []job.Spec) {
	for i := range n {
		specs = append(specs, resolve(t, library, fmt.Sprintf(`{"model": %q, "prompt": "a red circle", "steps": 2, "seed": %d, "sampler": "euler"}`, string("ab"[i%2]), i)))
	}
	return specs
}

// TestModelsTakeTurns renders with two models in memory for one, one picture at
// a time and many: what goes is loaded again, and the pictures are the same.
func TestModelsTakeTurns(t *testing.T) {
	var log bytes.Buffer
	library, size := twoModels(t, &log)
	specs := alternating(t, library, 12)

	both := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 2, Rows: 4, Memory: 3 * size}}
	renderer := pipeline.New(both, library, "0.0.0")
	want := renderAll(t, renderer, specs, 1)
	if both.loaded.Load() != 2*graphsOfAModel {
		t.Errorf("with room for both, %d graphs were loaded", both.loaded.Load())
	}
	renderer.Close()
	if both.open.Load() != 0 || bytes.Equal(want[0], want[1]) {
		t.Errorf("%d graphs stay open", both.open.Load())
	}

	for _, jobs := range []int{1, 6} {
		one := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 2, Rows: 4, Memory: size * 3 / 2}}
		renderer := pipeline.New(one, library, "0.0.0")
		for i, file := range renderAll(t, renderer, specs, jobs) {
			if !bytes.Equal(file, want[i]) {
				t.Errorf("%d jobs at a time: picture %d is another than with room for both models", jobs, i)
			}
		}
		if open := one.open.Load(); open != graphsOfAModel {
			t.Errorf("%d jobs at a time: %d graphs stay loaded, want one model's", jobs, open)
		}
		loads := one.loaded.Load() / graphsOfAModel
		if jobs == 1 && loads != int64(len(specs)) || loads < 2 || loads > int64(len(specs)) {
			t.Errorf("%d jobs at a time: %d loads", jobs, loads)
		}
		renderer.Close()
	}
	if text := log.String(); !strings.Contains(text, "makes room") || strings.Contains(text, "larger than") {
		t.Errorf("the log says:\n%s", text)
	}
}

// TestModelLargerThanMemory renders all the same, and says so.
func TestModelLargerThanMemory(t *testing.T) {
	var log bytes.Buffer
	library, size := twoModels(t, &log)
	runtime := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 1, Rows: 4, Memory: size / 2}}
	renderer := pipeline.New(runtime, library, "0.0.0")
	defer renderer.Close()
	renderAll(t, renderer, alternating(t, library, 4), 4)
	if open := runtime.open.Load(); open != graphsOfAModel || !strings.Contains(log.String(), "larger than the memory for models") {
		t.Errorf("%d graphs are open; the log says:\n%s", open, &log)
	}
}
