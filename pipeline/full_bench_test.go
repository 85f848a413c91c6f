package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// BenchmarkFullSize draws a picture of 256 px and two steps with the model whose
// folder DARKROOM_BENCH_MODEL names, such as compare/make_sd15.py makes, on one
// lane. overhead is as in BenchmarkPicture.
func BenchmarkFullSize(b *testing.B) {
	folder := os.Getenv("DARKROOM_BENCH_MODEL")
	if folder == "" {
		b.Skip("DARKROOM_BENCH_MODEL names no model's folder")
	}
	var busy atomic.Int64
	runtime := &hooked{shaped{orttest.Open(b), pipeline.Device{Lanes: 1, Rows: 4}}, func(ctx context.Context, c *hookedCall) error {
		begin := time.Now()
		defer func() { busy.Add(int64(time.Since(begin))) }()
		return c.Call.Run(ctx)
	}}
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{folder}})
	if err != nil {
		b.Fatal(err)
	}
	renderer := pipeline.New(runtime, library, "0.0.0")
	defer renderer.Close()
	line := `{"model": %q, "prompt": "a red circle", "width": 256, "height": 256, "steps": %d}`
	render(b, renderer, resolve(b, library, fmt.Sprintf(line, filepath.Base(folder), 1))) // loads the model
	spec := resolve(b, library, fmt.Sprintf(line, filepath.Base(folder), 2))
	busy.Store(0)
	for b.Loop() {
		if _, err := renderer.Render(b.Context(), job.Order{Spec: spec}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(busy.Load()), "overhead")
}
