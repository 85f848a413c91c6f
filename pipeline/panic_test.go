package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestPanicInCall holds that a panic in a call ends its job with an error of one
// line, which knows the stack, and that the next job goes on.
func TestPanicInCall(t *testing.T) {
	for _, in := range []string{"text_encoder", "unet", "vae_decoder"} {
		t.Run(in, func(t *testing.T) {
			panics := false
			runtime := &hooked{shaped{orttest.Open(t), pipeline.Device{Lanes: 1, Rows: 4}}, func(ctx context.Context, c *hookedCall) error {
				if panics && strings.Contains(c.graph.name, in) {
					panics = false
					panic("a bug")
				}
				return c.Call.Run(ctx)
			}}
			renderer, library := openHouse(t, runtime)
			render(t, renderer, resolve(t, library, `{"prompt": "a blue star", "steps": 2}`)) // loads the model
			panics = true
			spec := resolve(t, library, `{"prompt": "a red circle", "steps": 2}`)
			_, err := renderer.Render(t.Context(), job.Order{Spec: spec}, nil)
			var p interface{ PanicStack() []byte }
			if !errors.As(err, &p) || strings.Contains(err.Error(), "\n") || !strings.Contains(string(p.PanicStack()), "panic_test.go") {
				t.Errorf("it ended with %v", err)
			}
			render(t, renderer, spec)
		})
	}
}
