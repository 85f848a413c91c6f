package onnx

import (
	"os"
	"testing"
)

// FuzzPictures feeds graphs of anybody's. What is parsed can be asked what it
// makes of pictures, and changed.
func FuzzPictures(f *testing.F) {
	for _, name := range []string{"valid", "two", "broken", "gray", "attentive"} {
		data, err := os.ReadFile("../testdata/upscalers/" + name + "/model.onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	conv := node{op: "Conv", inputs: []string{"x", "w"}}
	graph := appendBytes(appendBytes(nil, graphInput, value{Port: Port{Name: "x"}}.encode()), graphOutput, value{Port: Port{Name: "y"}}.encode())
	f.Add(appendBytes(nil, modelGraph, appendBytes(graph, graphNode, conv.encode()))) // a node without an output
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		inputs, outputs := m.Inputs(), m.Outputs()
		if len(inputs) == 0 || len(outputs) == 0 {
			return
		}
		m.Magnification(inputs[0].Name, outputs[0].Name)
		if m.Features(inputs[0].Name, 4) < 0 {
			t.Error("less than no features")
		}
		m.TimestepPerRow(inputs[0].Name)
		m.AddShape(outputs[0])
		if _, err := Parse(m.Encode()); err != nil {
			t.Errorf("what was changed can't be parsed: %v", err)
		}
	})
}
