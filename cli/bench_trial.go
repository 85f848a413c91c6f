package cli

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

// trial is what one setting came to. Loading and the first round of pictures
// are apart, in WarmUp.
type trial struct {
	Rows              int     `json:"rows"` // the most of a call
	Jobs              int     `json:"jobs"` // pictures at once
	WarmUp            float64 `json:"warm_up_seconds"`
	Seconds           float64 `json:"seconds"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	RowsPerCall       float64 `json:"rows_per_call"`               // of the UNet, mean, without padding
	InRuntime         float64 `json:"in_onnxruntime"`              // share of the lanes' time, 0 .. 1
	Occupancy         float64 `json:"occupancy"`                   // as engine.Stats has it, 0 .. 1
	PeakMemory        int64   `json:"peak_memory_bytes,omitempty"` // of the process, loading included; 0: not known
}

// warmUpSteps are enough to make each kind of call once.
const warmUpSteps = 1

// measure renders so many pictures of the job, each with a seed of its own, a
// number of them at once, and calls tick after each. A round of short ones goes
// before: it loads the model.
func measure(ctx context.Context, runtime pipeline.Runtime, library *pipeline.Library, spec job.Spec, jobs, pictures int, tick func()) (trial, error) {
	resetPeakMemory()
	meter := &meter{Runtime: runtime}
	renderer := pipeline.New(meter, library, Version)
	defer debug.FreeOSMemory() // so that the next setting's peak is its own
	defer renderer.Close()

	short := spec
	short.Steps = min(spec.Steps, warmUpSteps)
	begin := time.Now()
	if err := renderAll(ctx, renderer, short, jobs, jobs, func() {}); err != nil {
		return trial{}, err
	}
	t := trial{Rows: runtime.Device().Rows, Jobs: jobs, WarmUp: time.Since(begin).Seconds()}

	stats, calls := renderer.Stats(), meter.read()
	begin = time.Now()
	if err := renderAll(ctx, renderer, spec, jobs, pictures, tick); err != nil {
		return trial{}, err
	}
	t.Seconds = time.Since(begin).Seconds()
	stats, calls = renderer.Stats().Since(stats), meter.read().since(calls)

	t.PicturesPerSecond = float64(pictures) / t.Seconds
	// Each call that is not of the UNet is one row to the engine.
	t.RowsPerCall = (float64(stats.Rows) - float64(calls.all-calls.unet)) / float64(calls.unet)
	t.InRuntime = calls.inside.Seconds() / (t.Seconds * float64(stats.Lanes))
	t.Occupancy = stats.Occupancy()
	t.PeakMemory = peakMemory()
	return t, nil
}

// renderAll renders pictures of one job, a number of them at once, and calls
// done after each. The first error ends it.
func renderAll(ctx context.Context, renderer *pipeline.Renderer, spec job.Spec, jobs, pictures int, done func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	var next atomic.Int64
	for range jobs {
		wait.Go(func() {
			order := job.Order{Spec: spec}
			for i := next.Add(1); i <= int64(pictures); i = next.Add(1) {
				order.Spec.Seed = uint64(i)
				if _, err := renderer.Render(ctx, order, nil); err != nil {
					cancel(err)
					return
				}
				done()
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// meter is a runtime that counts its calls and their time.
type meter struct {
	pipeline.Runtime
	all, unet, inside atomic.Int64 // inside: nanoseconds
}

// meterReading is what a meter has counted.
type meterReading struct {
	all, unet int64
	inside    time.Duration // of all calls, those side by side summed
}

func (m *meter) read() meterReading {
	return meterReading{m.all.Load(), m.unet.Load(), time.Duration(m.inside.Load())}
}

func (r meterReading) since(begin meterReading) meterReading {
	return meterReading{r.all - begin.all, r.unet - begin.unet, r.inside - begin.inside}
}

// Load implements [pipeline.Runtime].
func (m *meter) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	graph, err := m.Runtime.Load(file)
	isUNet := slices.ContainsFunc(file.Inputs, func(p pipeline.Port) bool { return p.Name == "timestep" })
	return meteredGraph{graph, m, isUNet}, err
}

type meteredGraph struct {
	pipeline.Graph
	meter  *meter
	isUNet bool
}

func (g meteredGraph) Bind(inputs, outputs []pipeline.Tensor) (pipeline.Call, error) {
	call, err := g.Graph.Bind(inputs, outputs)
	return meteredCall{call, g}, err
}

type meteredCall struct {
	pipeline.Call
	graph meteredGraph
}

func (c meteredCall) Run(ctx context.Context) error {
	begin := time.Now()
	err := c.Call.Run(ctx)
	meter := c.graph.meter
	meter.inside.Add(int64(time.Since(begin)))
	meter.all.Add(1)
	if c.graph.isUNet {
		meter.unet.Add(1)
	}
	return err
}
