package pipeline_test

import (
	"context"

	"github.com/darkroom/darkroom/pipeline"
)

// hooked is a runtime whose calls go through run, which makes the call itself
// with c.Call.Run.
type hooked struct {
	pipeline.Runtime
	run func(ctx context.Context, c *hookedCall) error
}

func (r *hooked) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	graph, err := r.Runtime.Load(file)
	return &hookedGraph{graph, r, file.Name}, err
}

type hookedGraph struct {
	pipeline.Graph
	runtime *hooked
	name    string
}

func (g *hookedGraph) Bind(inputs, outputs []pipeline.Tensor) (pipeline.Call, error) {
	call, err := g.Graph.Bind(inputs, outputs)
	return &hookedCall{call, g, inputs, outputs}, err
}

type hookedCall struct {
	pipeline.Call
	graph           *hookedGraph
	inputs, outputs []pipeline.Tensor
}

func (c *hookedCall) Run(ctx context.Context) error { return c.graph.runtime.run(ctx, c) }
