package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// BenchmarkMixed draws 64 jobs of five samplers, 8 to 30 steps, with guidance
// and without, as many at a time as fill the device. Its metrics:
//
//   - pictures/s
//   - bare: its time over that of the same ONNX Runtime calls, made one after
//     another in each lane by nobody, in the same run
//   - occupancy: the share of the lanes' time in calls while there were rows
//   - fill: the share of the calls' rows that were used
func BenchmarkMixed(b *testing.B) {
	record := record(orttest.Open(b))
	renderer, library := openHouse(b, record)
	specs := mixed(b, library, "house", 64, 8, 30)
	render(b, renderer, specs[0]) // loads the model
	jobs := record.Device().Jobs()
	var bare time.Duration
	for b.Loop() {
		record.calls = record.calls[:0]
		renderAll(b, renderer, specs, jobs)
		b.StopTimer()
		bare += record.replay(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N*len(specs))/b.Elapsed().Seconds(), "pictures/s")
	b.ReportMetric(float64(b.Elapsed())/float64(bare), "bare")
	stats := renderer.Stats()
	b.ReportMetric(stats.Occupancy(), "occupancy")
	b.ReportMetric(stats.Fill(), "fill")
}

// mixed is a batch of jobs that have as little in common as jobs of one model
// and size can, with from to to steps.
func mixed(t testing.TB, library *pipeline.Library, model string, n, from, to int) []job.Spec {
	samplers := []string{"euler", "euler_ancestral", "dpmpp_2m", "ddim", "unipc"}
	var specs []job.Spec
	for i := range n {
		guidance := 4
		if i%3 == 2 {
			guidance = 1 // none
		}
		specs = append(specs, resolve(t, library, fmt.Sprintf(
			`{"model": %q, "prompt": "a large red circle and %d stars", "seed": %d, "sampler": %q, "steps": %d, "guidance_scale": %d}`,
			model, i/2, i, samplers[i%len(samplers)], from+i*7%(to-from+1), guidance)))
	}
	return specs
}

// renderAll draws all jobs, so many at a time, and returns their files.
func renderAll(t testing.TB, renderer *pipeline.Renderer, specs []job.Spec, jobs int) [][]byte {
	t.Helper()
	files := make([][]byte, len(specs))
	next := make(chan int)
	var wait sync.WaitGroup
	for range jobs {
		wait.Go(func() {
			for i := range next {
				picture, err := renderer.Render(t.Context(), specs[i], nil)
				if err != nil {
					t.Errorf("job %d: %v", i, err)
				}
				files[i] = picture.Data
			}
		})
	}
	for i := range specs {
		next <- i
	}
	close(next)
	wait.Wait()
	return files
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
// how long that took.
func (r *recorder) replay(t testing.TB) time.Duration {
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
	begin := time.Now()
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
	return time.Since(begin)
}

func ownMemory(tensors []pipeline.Tensor) []pipeline.Tensor {
	own := slices.Clone(tensors)
	for i := range own {
		own[i].Floats, own[i].Ints = slices.Clone(own[i].Floats), slices.Clone(own[i].Ints)
	}
	return own
}
