package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestArrangements draws a batch of unlike jobs one by one, and then beside 1,
// 3, 7 and 15 others, in several orders and on devices of several shapes: the
// files must be the same to the last byte.
func TestArrangements(t *testing.T) {
	t.Run("house", func(t *testing.T) {
		renderer, library := openHouse(t, orttest.Open(t))
		specs := mixed(t, library, "house", 16, 3, 5)
		for i := range specs {
			if i%5 == 1 {
				specs[i].Width = 96
			}
		}
		alone := renderAll(t, renderer, specs, 1)
		for i, others := range []int{1, 3, 7, 15} {
			arrange(t, renderer, specs, alone, 1+others, uint64(i))
		}
	})
	t.Run("tiny", func(t *testing.T) {
		renderer, library := openModels(t, "sd")
		specs := mixed(t, library, "sd", 16, 3, 9)
		for i := range specs {
			if i%5 == 1 {
				specs[i].Width = 96
			}
		}
		alone := renderAll(t, renderer, specs, 1)
		for _, device := range []pipeline.Device{
			{Lanes: 1, Rows: 1}, {Lanes: 1, Rows: 8}, {Lanes: 2, Rows: 4}, {Lanes: 3, Rows: 3}, {Lanes: 1, Rows: 6, Fixed: true},
		} {
			renderer := pipeline.New(shaped{orttest.Open(t), device}, library, "0.0.0")
			defer renderer.Close()
			for _, others := range []int{1, 3, 7, 15} {
				for order := range 3 {
					arrange(t, renderer, specs, alone, 1+others, uint64(order))
				}
			}
		}
	})
}

// arrange draws the jobs in an order that the seed tells, so many at a time,
// and compares their files.
func arrange(t *testing.T, renderer *pipeline.Renderer, specs []job.Spec, want [][]byte, jobs int, seed uint64) {
	t.Helper()
	order := rand.New(rand.NewPCG(seed, 0)).Perm(len(specs))
	shuffled := make([]job.Spec, len(specs))
	for i, from := range order {
		shuffled[i] = specs[from]
	}
	for i, file := range renderAll(t, renderer, shuffled, jobs) {
		if !bytes.Equal(file, want[order[i]]) {
			t.Errorf("job %d has other bytes among %d, in the order %v, than alone", order[i], jobs, order)
		}
	}
}

// shaped is a runtime with another device, which has the same operators.
type shaped struct {
	pipeline.Runtime
	device pipeline.Device
}

func (r shaped) Device() pipeline.Device {
	d := r.device
	d.Contrib = r.Runtime.Device().Contrib
	return d
}

// TestCancelledBeside cancels every second job at some step: the others' files
// stay what they are alone.
func TestCancelledBeside(t *testing.T) {
	renderer, library := openModels(t, "sd")
	specs := mixed(t, library, "sd", 12, 5, 9)
	alone := renderAll(t, renderer, specs, 1)
	reason := errors.New("changed my mind")
	var wait sync.WaitGroup
	for i, spec := range specs {
		wait.Go(func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			picture, err := renderer.Render(ctx, job.Order{Spec: spec}, func(done, _ int) {
				if i%2 == 1 && done == 1+i%4 {
					cancel(reason)
				}
			})
			switch {
			case i%2 == 1 && !errors.Is(err, reason):
				t.Errorf("job %d was cancelled and ended with: %v", i, err)
			case i%2 == 0 && err != nil:
				t.Errorf("job %d: %v", i, err)
			case i%2 == 0 && !bytes.Equal(picture.Data, alone[i]):
				t.Errorf("job %d has other bytes beside cancelled jobs than alone", i)
			}
		})
	}
	wait.Wait()
}

// faulty is a runtime of four rows a call, one call at a time, whose UNet's
// calls go through run.
func faulty(t *testing.T, run func(ctx context.Context, rows int, call pipeline.Call) error) pipeline.Runtime {
	return &hooked{shaped{orttest.Open(t), pipeline.Device{Lanes: 1, Rows: 4}}, func(ctx context.Context, c *hookedCall) error {
		if !strings.Contains(c.graph.name, "unet") {
			return c.Call.Run(ctx)
		}
		return run(ctx, int(c.inputs[0].Shape[0]), c.Call)
	}}
}

// TestCancelInsideCall cancels a job whose call would never end by itself.
func TestCancelInsideCall(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the lamp went out")
	stuck := false
	runtime := faulty(t, func(ctx context.Context, _ int, call pipeline.Call) error {
		if !stuck {
			return call.Run(ctx)
		}
		cancel(reason)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	renderer, library := openHouse(t, runtime)
	spec := resolve(t, library, `{"prompt": "x", "steps": 2}`)
	want := render(t, renderer, spec).Data // loads the model
	stuck = true
	if _, err := renderer.Render(ctx, job.Order{Spec: spec}, nil); !errors.Is(err, reason) {
		t.Errorf("cancelled inside a call, it ended with: %v", err)
	}
	stuck = false
	if !bytes.Equal(render(t, renderer, spec).Data, want) {
		t.Error("after a call that was cut off, the picture is another")
	}
}

// TestOutOfMemory has memory for three rows: calls of four are made again as
// two of two, and no such calls follow.
func TestOutOfMemory(t *testing.T) {
	loaded := false
	failed := 0
	runtime := faulty(t, func(ctx context.Context, rows int, call pipeline.Call) error {
		if loaded && rows > 3 {
			failed++
			return fmt.Errorf("a call of %d rows: %w", rows, pipeline.ErrOutOfMemory)
		}
		return call.Run(ctx)
	})
	renderer, library := openHouse(t, runtime)
	specs := mixed(t, library, "house", 3, 6, 8)
	alone := renderAll(t, renderer, specs, 1)
	loaded = true
	arrange(t, renderer, specs, alone, len(specs), 0)
	arrange(t, renderer, specs, alone, len(specs), 1)
	if failed != 1 {
		t.Errorf("%d calls found no memory, want the first of four rows", failed)
	}
}

// TestTextIsEncodedOnce draws jobs with the same prompts at a time.
func TestTextIsEncodedOnce(t *testing.T) {
	record := record(orttest.Open(t))
	renderer, library := openHouse(t, record)
	var specs []job.Spec
	for range 6 {
		specs = append(specs, resolve(t, library, `{"prompt": "a red circle", "negative_prompt": "night", "steps": 1}`))
	}
	renderAll(t, renderer, specs, len(specs))
	texts := 0
	for _, call := range record.calls {
		if call.inputs[0].Ints != nil {
			texts++
		}
	}
	if texts != 2 {
		t.Errorf("%d texts were encoded, want 2", texts)
	}
}
