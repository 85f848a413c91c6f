package pipeline

import (
	"context"
	"slices"
	"testing"
)

// scripted is a graph that writes down the calls it gets.
type scripted struct{ calls [][]float32 } // their timesteps

func (s *scripted) Bind(inputs, outputs []Tensor) (Call, error) {
	return &scriptedCall{s, inputs, outputs[0]}, nil
}
func (s *scripted) Close() error { return nil }

// scriptedCall copies every row's sample to its output.
type scriptedCall struct {
	graph  *scripted
	inputs []Tensor
	output Tensor
}

func (c *scriptedCall) Run(context.Context) error {
	c.graph.calls = append(c.graph.calls, slices.Clone(c.inputs[1].Floats))
	copy(c.output.Floats, c.inputs[0].Floats)
	return nil
}
func (c *scriptedCall) Close() {}

// TestPredict gathers rows into calls: one, or where the graph takes one
// timestep a call, one for each run of equal timesteps.
func TestPredict(t *testing.T) {
	for name, c := range map[string]struct {
		timestep []int64
		want     [][]float32
	}{
		"one a row":      {[]int64{-1}, [][]float32{{9, 9, 5}}},
		"a scalar":       {nil, [][]float32{{9}, {5}}},
		"one for a call": {[]int64{1}, [][]float32{{9}, {5}}},
	} {
		script := &scripted{}
		inputs := []Port{
			{Name: sampleInput, Dims: []int64{-1, 1, -1, -1}}, {Name: timestepInput, Dims: c.timestep}, {Name: textInput, Dims: []int64{-1, -1, 2}},
		}
		u := &unet{channels: 1, most: 4, graph: &loadedGraph{Graph: script, inputs: inputs, outputs: []Port{{Name: "out_sample"}}}}
		if err := u.check(inputs, &folder{}); err != nil {
			t.Fatal(err)
		}
		var rows []task
		for i, timestep := range []float32{9, 9, 5} {
			rows = append(rows, task{row: &Row{
				Sample: []float32{float32(i + 1), 7}, Height: 1, Width: 2, Timestep: timestep,
				Text: make([]float32, 6), Tokens: 3, Out: make([]float32, 2),
			}})
		}
		if _, err := u.predict(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(script.calls, c.want, slices.Equal) {
			t.Errorf("%s: the calls' timesteps are %v, want %v", name, script.calls, c.want)
		}
		for i, task := range rows {
			if !slices.Equal(task.row.Out, task.row.Sample) {
				t.Errorf("%s: row %d got %v", name, i, task.row.Out)
			}
		}
	}
}

func TestIdleCallsAreBounded(t *testing.T) {
	inputs := []Port{
		{Name: sampleInput, Dims: []int64{-1, 1, -1, -1}}, {Name: timestepInput, Dims: []int64{-1}}, {Name: textInput, Dims: []int64{-1, -1, 2}},
	}
	u := &unet{channels: 1, most: 4, graph: &loadedGraph{Graph: &scripted{}, inputs: inputs, outputs: make([]Port, 1)}}
	for size := range 3 * maxIdle {
		row := &Row{Sample: make([]float32, size+1), Height: 1, Width: size + 1, Text: make([]float32, 2), Tokens: 1, Out: make([]float32, size+1)}
		if _, err := u.predict(t.Context(), []task{{row: row}}); err != nil {
			t.Fatal(err)
		}
	}
	if len(u.idle) != maxIdle {
		t.Errorf("%d calls are kept, want %d", len(u.idle), maxIdle)
	}
}
