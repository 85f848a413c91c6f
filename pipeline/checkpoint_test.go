package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// TestCheckpoint stops renders between two steps and goes on in another
// renderer: the picture is the same, to the bit. From a checkpoint that is
// damaged or was made otherwise the job begins again.
func TestCheckpoint(t *testing.T) {
	renderer, library := openModels(t, "sd")
	other, _ := openModels(t, "sd")
	for _, sampler := range []string{"euler", "euler_ancestral", "dpmpp_2m", "heun", "dpmpp_sde", "unipc"} {
		t.Run(sampler, func(t *testing.T) {
			spec := resolve(t, library, fmt.Sprintf(`{"model": "sd", "prompt": "a red circle", "steps": 7, "sampler": %q}`, sampler))
			whole := render(t, renderer, spec).Data
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := renderer.Render(ctx, job.Order{Spec: spec}, func(done, _ int) {
				if done == 3 {
					cancel(job.ErrPreempted)
				}
			})
			preempted, ok := errors.AsType[*job.Preempted](err)
			if !ok {
				t.Fatalf("a render that was preempted ended with %v", err)
			}
			goOn := func(c job.Checkpoint, want int) {
				t.Helper()
				first := 0
				picture, err := other.Render(t.Context(), job.Order{Spec: spec, Checkpoint: &c}, func(done, _ int) {
					if first == 0 {
						first = done
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if first != want || !bytes.Equal(picture.Data, whole) {
					t.Errorf("its first evaluation is %d, want %d; the same picture: %v", first, want, bytes.Equal(picture.Data, whole))
				}
			}
			goOn(preempted.Checkpoint, 4)
			damaged := preempted.Checkpoint
			damaged.State = damaged.State[:len(damaged.State)-1]
			goOn(damaged, 1)
			elsewhere := preempted.Checkpoint
			elsewhere.MadeWith.Device = "another"
			goOn(elsewhere, 1)
		})
	}
}
