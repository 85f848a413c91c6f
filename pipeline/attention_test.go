package pipeline_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// operators is a runtime that has ONNX Runtime's own operators or not, and
// counts the graphs that have a fused attention.
type operators struct {
	pipeline.Runtime
	contrib bool
	fused   atomic.Int64
}

func (r *operators) Device() pipeline.Device {
	d := r.Runtime.Device()
	d.Contrib = r.contrib
	return d
}

func (r *operators) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	if strings.Contains(file.Digest, "-attention") {
		r.fused.Add(1)
	}
	return r.Runtime.Load(file)
}

// TestAttention holds that a runtime without these operators gets graphs as they
// are, and draws the same picture but for rounding.
func TestAttention(t *testing.T) {
	plain, fusing := &operators{Runtime: orttest.Open(t)}, &operators{Runtime: orttest.Open(t), contrib: true}
	var pictures [][]byte
	for _, runtime := range []*operators{plain, fusing} {
		renderer, library := openHouse(t, runtime)
		pictures = append(pictures, render(t, renderer, resolve(t, library, `{"prompt": "a red circle", "steps": 8}`)).Data)
	}
	if none, some := plain.fused.Load(), fusing.fused.Load(); none != 0 || some != 1 { // the house's decoder has no attention
		t.Errorf("%d graphs are fused without the operator, and %d with it; want 0 and 1", none, some)
	}
	compare(t, decodePNG(t, pictures[1]), decodePNG(t, pictures[0]), 1, .05)
}
