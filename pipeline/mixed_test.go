package pipeline_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

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
				picture, err := renderer.Render(t.Context(), job.Order{Spec: specs[i], Input: testInput}, nil)
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
