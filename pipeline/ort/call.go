package ort

import (
	"context"
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/half"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// call is a set of ONNX Runtime values over a caller's memory.
type call struct {
	graph   *graph
	session *session
	cells   []cell // of the inputs, then of the outputs
	inputs  []ort.Value
	outputs []ort.Value
}

// Run implements [pipeline.Call].
func (c *call) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, cell := range c.cells[:len(c.inputs)] {
		if cell.feed(); cell.renew != nil {
			// The binding's scalars can't be changed.
			value, err := cell.renew()
			if err != nil {
				return fmt.Errorf("%s: %w", c.graph.file.Name, err)
			}
			c.inputs[i].Destroy()
			c.inputs[i] = value
		}
	}
	if err := c.session.RunWithOptions(c.inputs, c.outputs, runOptions(ctx)); err != nil {
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
	for _, value := range append(c.inputs, c.outputs...) {
		value.Destroy()
	}
	c.inputs, c.outputs = nil, nil
	if c.session != nil {
		c.graph.sessions.put(c.session)
		c.session = nil
	}
}

// cell is one value: feed copies the caller's numbers into it, fetch the other
// way. Where the types agree it lies over the caller's memory and both do nothing.
type cell struct {
	value ort.Value
	feed  func()
	fetch func()
	renew func() (ort.Value, error) // for scalars: a new value to run with
}

func nothing() {}

func newCell(port pipeline.Port, t pipeline.Tensor) (cell, error) {
	isFloat := t.Floats != nil
	switch {
	case len(t.Shape) == 0 && isFloat:
		return scalar(port, t.Floats)
	case port.Type == onnx.Float32 && isFloat:
		return direct(t.Shape, t.Floats)
	case port.Type == onnx.Int64 && !isFloat:
		return direct(t.Shape, t.Ints)
	case port.Type == onnx.Float16 && isFloat:
		return halves(t.Shape, t.Floats)
	case port.Type == onnx.Float64 && isFloat:
		return converted[float64](t.Shape, t.Floats)
	case port.Type == onnx.Int64 && isFloat: // a timestep: its fraction is cut off
		return converted[int64](t.Shape, t.Floats)
	case port.Type == onnx.Int32 && isFloat:
		return converted[int32](t.Shape, t.Floats)
	case port.Type == onnx.Int32 && !isFloat:
		return converted[int32](t.Shape, t.Ints)
	}
	return cell{}, mismatch(port, isFloat)
}

func mismatch(port pipeline.Port, isFloat bool) error {
	kind := "int64"
	if isFloat {
		kind = "float32"
	}
	return fmt.Errorf("it holds %v, to which %s can't be converted", port.Type, kind)
}

type number interface {
	float32 | float64 | int32 | int64
}

func direct[T number](shape []int64, memory []T) (cell, error) {
	tensor, err := ort.NewTensor(ort.NewShape(shape...), memory)
	return cell{value: tensor, feed: nothing, fetch: nothing}, err
}

func converted[To, From number](shape []int64, memory []From) (cell, error) {
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

// scalar is an input of rank 0.
func scalar(port pipeline.Port, memory []float32) (cell, error) {
	c := cell{feed: nothing, fetch: nothing}
	switch port.Type {
	case onnx.Float32:
		c.renew = func() (ort.Value, error) { return ort.NewScalar(memory[0]) }
	case onnx.Float64:
		c.renew = func() (ort.Value, error) { return ort.NewScalar(float64(memory[0])) }
	case onnx.Int64:
		c.renew = func() (ort.Value, error) { return ort.NewScalar(int64(memory[0])) }
	case onnx.Int32:
		c.renew = func() (ort.Value, error) { return ort.NewScalar(int32(memory[0])) }
	default:
		return c, fmt.Errorf("it is a scalar of %v, which the binding can't make: export the graph with one value a row", port.Type)
	}
	var err error
	c.value, err = c.renew()
	return c, err
}

func halves(shape []int64, memory []float32) (cell, error) {
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
				data[i] = half.Of(v)
			}
		},
		fetch: func() {
			for i, v := range data {
				memory[i] = half.Float(v)
			}
		},
	}, nil
}
