package pipeline_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

const housePrompt = `{"prompt": "a large red circle on a blue background", "seed": 7, "steps": 20}`

// BenchmarkPicture draws a picture of 20 steps with the house model, on one lane
// so that no two calls are made at a time. overhead is its time over the bare
// sum of its ONNX Runtime calls in the same run.
func BenchmarkPicture(b *testing.B) {
	var busy atomic.Int64
	runtime := &hooked{shaped{orttest.Open(b), pipeline.Device{Lanes: 1, Rows: 4}}, func(ctx context.Context, c *hookedCall) error {
		begin := time.Now()
		defer func() { busy.Add(int64(time.Since(begin))) }()
		return c.Call.Run(ctx)
	}}
	renderer, library := openHouse(b, runtime)
	spec := resolve(b, library, housePrompt)
	render(b, renderer, spec) // loads the model
	busy.Store(0)
	b.ReportAllocs()
	for b.Loop() {
		render(b, renderer, spec)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(busy.Load()), "overhead")
}

// BenchmarkFirstPicture is what a process does for its first picture: it loads
// the house model and draws.
func BenchmarkFirstPicture(b *testing.B) {
	runtime := orttest.Open(b)
	for b.Loop() {
		renderer, library := openHouse(b, runtime)
		render(b, renderer, resolve(b, library, housePrompt))
		renderer.Close()
	}
}

// BenchmarkStep is a step's own work, with a network that does nothing.
func BenchmarkStep(b *testing.B) {
	renderer, library := openHouse(b, still{})
	spec := resolve(b, library, housePrompt)
	spec.Sampler, spec.Steps = "euler", 500
	render(b, renderer, spec)
	b.ReportAllocs()
	for b.Loop() {
		render(b, renderer, spec)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spec.Steps), "ns/step")
}

// TestStepsAllocateNothing holds that a render's allocations don't grow with
// its steps.
func TestStepsAllocateNothing(t *testing.T) {
	renderer, library := openHouse(t, still{})
	spec := resolve(t, library, housePrompt)
	for _, sampler := range []string{"euler", "euler_ancestral", "ddim", "heun", "dpmpp_2m", "unipc"} {
		spec.Sampler = sampler
		allocations := func(steps int) float64 {
			spec.Steps = steps
			return testing.AllocsPerRun(3, func() { render(t, renderer, spec) })
		}
		// Plans grow by appending, so that a few allocations go with the
		// logarithm of the steps, and what else lives in the process may make
		// some. One a step would be 500 more.
		if few, many := allocations(20), allocations(520); many-few > 250 {
			t.Errorf("%s: %g allocations with 20 steps, %g with 520", sampler, few, many)
		}
	}
}

func openHouse(t testing.TB, runtime pipeline.Runtime) (*pipeline.Renderer, *pipeline.Library) {
	t.Helper()
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	renderer := pipeline.New(runtime, library, "0.0.0")
	t.Cleanup(renderer.Close)
	return renderer, library
}

// still is a runtime whose graphs leave their outputs as they are, all zero.
type still struct{}

func (still) Load(pipeline.GraphFile) (pipeline.Graph, error) { return still{}, nil }
func (still) Interruptible(ctx context.Context) (context.Context, func(), error) {
	return ctx, func() {}, nil
}
func (still) Device() pipeline.Device { return pipeline.Device{Lanes: 2, Rows: 4} }
func (still) MadeWith() job.MadeWith  { return job.MadeWith{} }
func (still) Bind(_, _ []pipeline.Tensor) (pipeline.Call, error) {
	return stillCall{}, nil
}
func (still) Close() error { return nil }

type stillCall struct{}

func (stillCall) Run(context.Context) error { return nil }
func (stillCall) Close()                    {}
