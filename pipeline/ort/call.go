package ort

import (
	"context"
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// call is a set of ONNX Runtime values over a caller's memory.
type call struct {
	graph   *graph
	cells   []cell // of the inputs, then of the outputs
	inputs  []ort.Value
	outputs []ort.Value
}

// Run implements [pipeline.Call].
func (c *call) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, cell := range c.cells[:len(c.inputs)] {
		cell.feed()
	}
	if err := c.graph.session.RunWithOptions(c.inputs, c.outputs, runOptions(ctx)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", c.graph.file.Name, classify(err))
	}
	for _, cell := range c.cells[len(c.inputs):] {
		cell.fetch()
	}
	return nil
}

// Close implements [pipeline.Call].
func (c *call) Close() {
	for _, cell := range c.cells {
		cell.value.Destroy()
	}
	c.cells = nil
}

// cell is one value: feed copies the caller's numbers into it, fetch the other
// way. Where the types agree it lies over the caller's memory and both do nothing.
type cell struct {
	value ort.Value
	feed  func()
	fetch func()
}

func nothing() {}

func newCell(port pipeline.Port, t pipeline.Tensor) (cell, error) {
	isFloat := t.Floats != nil
	switch {
	case port.Type == onnx.Float32 && isFloat:
		return direct(t.Shape, t.Floats)
	case port.Type == onnx.Int64 && !isFloat:
		return direct(t.Shape, t.Ints)
	case port.Type == onnx.Float16 && isFloat:
		return half(t.Shape, t.Floats)
	case port.Type == onnx.Float64 && isFloat:
		return converted[float64](t.Shape, t.Floats)
	case port.Type == onnx.Int64 && isFloat: // a timestep: its fraction is cut off
		return converted[int64](t.Shape, t.Floats)
	case port.Type == onnx.Int32 && isFloat:
		return converted[int32](t.Shape, t.Floats)
	case port.Type == onnx.Int32 && !isFloat:
		return converted[int32](t.Shape, t.Ints)
	}
	kind := "int64"
	if isFloat {
		kind = "float32"
	}
	return cell{}, fmt.Errorf("it holds %v, to which %s can't be converted", port.Type, kind)
}

type number interface {
	float32 | float64 | int32 | int64
}

// direct lies over the caller's memory; scalars, which the binding keeps apart,
// are copied.
func direct[T number](shape []int64, memory []T) (cell, error) {
	if len(shape) == 0 {
		return converted[T](shape, memory)
	}
	tensor, err := ort.NewTensor(ort.NewShape(shape...), memory)
	return cell{tensor, nothing, nothing}, err
}

func converted[To, From number](shape []int64, memory []From) (cell, error) {
	if len(shape) == 0 {
		scalar, err := ort.NewScalar[To](0)
		if err != nil {
			return cell{}, err
		}
		return cell{scalar, func() { scalar.Set(To(memory[0])) }, func() { memory[0] = From(scalar.GetData()) }}, nil
	}
	tensor, err := ort.NewEmptyTensor[To](ort.NewShape(shape...))
	if err != nil {
		return cell{}, err
	}
	data := tensor.GetData()
	return cell{
		value: tensor,
		feed: func() {
			for i, v := range memory {
				data[i] = To(v)
			}
		},
		fetch: func() {
			for i, v := range data {
				memory[i] = From(v)
			}
		},
	}, nil
}

func half(shape []int64, memory []float32) (cell, error) {
	if len(shape) == 0 {
		return cell{}, fmt.Errorf("the binding has no float16 scalars; export the graph with one value a row")
	}
	data := make([]uint16, len(memory))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), 2*len(data))
	tensor, err := ort.NewCustomDataTensor(ort.NewShape(shape...), bytes, ort.TensorElementDataTypeFloat16)
	if err != nil {
		return cell{}, err
	}
	return cell{
		value: tensor,
		feed: func() {
			for i, v := range memory {
				data[i] = toHalf(v)
			}
		},
		fetch: func() {
			for i, v := range data {
				memory[i] = fromHalf(v)
			}
		},
	}, nil
}
