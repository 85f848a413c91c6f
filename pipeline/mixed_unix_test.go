//go:build unix

package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// BenchmarkMixed draws 64 jobs of five samplers, 8 to 30 steps, with guidance
// and without, as many at a time as fill the device. Its metrics:
//
//   - pictures/s
//   - bare: its time over that of the same ONNX Runtime calls, made one after
//     another in each lane by nobody, in the same run
//   - bare-cpu: the same of the process's CPU time, which other processes of the
//     machine don't change
//   - occupancy: the share of the lanes' time in calls while there were rows
//   - fill: the share of the calls' rows that were used
func BenchmarkMixed(b *testing.B) {
	record := record(orttest.Open(b))
	renderer, library := openHouse(b, record)
	specs := mixed(b, library, "house", 64, 8, 30)
	render(b, renderer, specs[0]) // loads the model
	jobs := record.Device().Jobs()
	var bare, bareCPU, cpu time.Duration
	for b.Loop() {
		record.calls = record.calls[:0]
		begin := cpuTime(b)
		renderAll(b, renderer, specs, jobs)
		b.StopTimer()
		cpu += cpuTime(b) - begin
		took, tookCPU := record.replay(b)
		bare, bareCPU = bare+took, bareCPU+tookCPU
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N*len(specs))/b.Elapsed().Seconds(), "pictures/s")
	b.ReportMetric(float64(b.Elapsed())/float64(bare), "bare")
	b.ReportMetric(float64(cpu)/float64(bareCPU), "bare-cpu")
	stats := renderer.Stats()
	b.ReportMetric(stats.Occupancy(), "occupancy")
	b.ReportMetric(stats.Fill(), "fill")
}

// recorder writes down the calls that are made.
type recorder struct {
	*hooked
	mu    sync.Mutex
	calls []*hookedCall
}

func record(runtime pipeline.Runtime) *recorder {
	r := &recorder{}
	r.hooked = &hooked{runtime, func(ctx context.Context, c *hookedCall) error {
		r.mu.Lock()
		r.calls = append(r.calls, c)
		r.mu.Unlock()
		return c.Call.Run(ctx)
	}}
	return r
}

// replay makes the recorded calls again, on memory of their own, and returns
// how long that took, by the clock and of the process's CPU time.
func (r *recorder) replay(t testing.TB) (took, cpu time.Duration) {
	type shape struct {
		graph *hookedGraph
		input string
	}
	lanes := make([]map[shape]pipeline.Call, r.Device().Lanes)
	shapes := make([]shape, len(r.calls))
	for lane := range lanes {
		lanes[lane] = map[shape]pipeline.Call{}
		for i, c := range r.calls {
			shapes[i] = shape{c.graph, fmt.Sprint(c.inputs[0].Shape)}
			if lanes[lane][shapes[i]] == nil {
				call, err := c.graph.Graph.Bind(ownMemory(c.inputs), ownMemory(c.outputs))
				if err != nil {
					t.Fatal(err)
				}
				defer call.Close()
				lanes[lane][shapes[i]] = call
			}
		}
	}
	next := make(chan shape, len(shapes))
	for _, s := range shapes {
		next <- s
	}
	close(next)
	begin, beginCPU := time.Now(), cpuTime(t)
	var wait sync.WaitGroup
	for _, calls := range lanes {
		wait.Go(func() {
			for s := range next {
				if err := calls[s].Run(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	return time.Since(begin), cpuTime(t) - beginCPU
}

// cpuTime is what the process has used so far.
func cpuTime(t testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func ownMemory(tensors []pipeline.Tensor) []pipeline.Tensor {
	own := slices.Clone(tensors)
	for i := range own {
		own[i].Floats, own[i].Ints = slices.Clone(own[i].Floats), slices.Clone(own[i].Ints)
	}
	return own
}
