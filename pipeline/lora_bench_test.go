package pipeline_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// unets is a runtime that counts the sessions of UNets.
type unets struct {
	pipeline.Runtime
	loads atomic.Int64
}

func (r *unets) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	if strings.Contains(file.Digest, "-unet-") {
		r.loads.Add(1)
	}
	return r.Runtime.Load(file)
}

// BenchmarkLoRA draws ten pictures of the house model, one after the other, with
// house-sepia and house-outline in turn, of which the latter changes the text
// encoder as well. Its metrics:
//
//   - loads: sessions of UNets that the ten make, with the model there by itself
//   - s/change: how many seconds longer a picture takes that is the first with its
//     LoRA than the mean of the others
func BenchmarkLoRA(b *testing.B) {
	const pictures = 10
	loads, change := int64(0), time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		runtime := &unets{Runtime: orttest.Open(b)}
		renderer, library := openHouse(b, runtime)
		render(b, renderer, resolve(b, library, housePrompt)) // loads the model
		var specs []job.Spec
		for _, name := range []string{"house-sepia", "house-outline"} {
			specs = append(specs, resolve(b, library, fmt.Sprintf(`{"prompt": "a large red circle on a blue background", "steps": 4, "loras": [{"name": %q}]}`, name)))
		}
		before := runtime.loads.Load()
		b.StartTimer()
		for i := range pictures {
			begin := time.Now()
			render(b, renderer, specs[i%len(specs)])
			if took := time.Since(begin); i < len(specs) {
				change += took / time.Duration(len(specs))
			} else {
				change -= took / time.Duration(pictures-len(specs))
			}
		}
		b.StopTimer()
		loads += runtime.loads.Load() - before
		renderer.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(loads)/float64(b.N), "loads")
	b.ReportMetric(change.Seconds()/float64(b.N), "s/change")
}
