package pipeline

import (
	"context"
	"slices"
	"testing"
)

// partial is a graph whose rows depend on how many there are, as kernels tell.
type partial struct{ error func(rows int) float32 }

func (p *partial) Bind(inputs, outputs []Tensor) (Call, error) {
	return &partialCall{p, inputs[0], outputs[0]}, nil
}
func (p *partial) Close() error { return nil }

type partialCall struct {
	graph         *partial
	input, output Tensor
}

func (c *partialCall) Run(context.Context) error {
	for i, v := range c.input.Floats {
		c.output.Floats[i] = v + c.graph.error(int(c.input.Shape[0]))
	}
	return nil
}
func (c *partialCall) Close() {}

// TestPadding finds the fewest rows from which on a row's bits don't change, and
// holds that they don't.
func TestPadding(t *testing.T) {
	same := func(int) float32 { return 0 }
	alone := func(rows int) float32 { return float32(1 / rows) }
	always := func(rows int) float32 { return float32(rows) }
	for name, c := range map[string]struct {
		error  func(int) float32
		batch  int64
		device Device
		want   int
	}{
		"no difference":             {same, -1, Device{Lanes: 1, Rows: 4}, 1},
		"a row alone differs":       {alone, -1, Device{Lanes: 1, Rows: 4}, 2},
		"each number differs":       {always, -1, Device{Lanes: 1, Rows: 4}, 4},
		"one row a call":            {always, -1, Device{Lanes: 1, Rows: 1}, 1},
		"two rows a call":           {alone, -1, Device{Lanes: 1, Rows: 2}, 2},
		"a device of fixed rows":    {same, -1, Device{Lanes: 1, Rows: 8, Fixed: true}, 8},
		"loose":                     {always, -1, Device{Lanes: 1, Rows: 4, Loose: true}, 1},
		"a graph of one row":        {always, 1, Device{Lanes: 1, Rows: 4}, 1},
		"a graph of two rows":       {always, 2, Device{Lanes: 1, Rows: 4}, 2},
		"a graph of two on a fixed": {always, 2, Device{Lanes: 1, Rows: 8, Fixed: true}, 2},
	} {
		inputs := []Port{
			{Name: sampleInput, Dims: []int64{c.batch, 1, -1, -1}}, {Name: timestepInput, Dims: []int64{-1}}, {Name: textInput, Dims: []int64{-1, -1, 2}},
		}
		u := &unet{channels: 1, graph: &loadedGraph{Graph: &partial{c.error}, inputs: inputs, outputs: make([]Port, 1)}}
		if err := u.settle(&folder{unet: unetConfig{levels: levels{Widths: []int{1, 1}}}}, c.device); err != nil {
			t.Fatal(err)
		}
		if u.least != c.want {
			t.Errorf("%s: calls have at least %d rows, want %d", name, u.least, c.want)
		}
		var outs [][]float32
		for n := range c.device.Rows {
			var tasks []task
			for range n + 1 {
				tasks = append(tasks, task{row: &Row{Sample: []float32{5}, Height: 1, Width: 1, Text: make([]float32, 2), Tokens: 1, Out: make([]float32, 1)}})
			}
			if _, err := u.predict(t.Context(), tasks); err != nil {
				t.Fatal(err)
			}
			for _, task := range tasks {
				outs = append(outs, task.row.Out)
			}
		}
		if u.varies != (name == "loose") {
			t.Errorf("%s: bits depend on a row's company: %v", name, u.varies)
		}
		for _, out := range outs {
			if !u.varies && !slices.Equal(out, outs[0]) {
				t.Errorf("%s: the same row became %v and %v", name, outs[0], out)
			}
		}
	}
}
