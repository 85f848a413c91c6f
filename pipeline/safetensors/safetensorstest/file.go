// Package safetensorstest makes safetensors files for tests.
package safetensorstest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// Tensor is a tensor of F32 whose numbers count up from First.
type Tensor struct {
	Name  string
	First float32
	Shape []int64
}

// F32 is a Tensor.
func F32(name string, first float32, shape ...int64) Tensor {
	return Tensor{Name: name, First: first, Shape: append([]int64{}, shape...)}
}

// Open writes a file of tensors, with metadata unless it is nil, and opens it.
func Open(t testing.TB, metadata map[string]string, tensors ...Tensor) *safetensors.File {
	t.Helper()
	header := map[string]any{}
	if metadata != nil {
		header["__metadata__"] = metadata
	}
	var body []byte
	for _, one := range tensors {
		begin, size := len(body), int64(1)
		for _, n := range one.Shape {
			size *= n
		}
		for i := range size {
			body, _ = binary.Append(body, binary.LittleEndian, one.First+float32(i))
		}
		header[one.Name] = map[string]any{"dtype": "F32", "shape": one.Shape, "data_offsets": []int{begin, len(body)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), append(text, body...)...)
	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
