package onnx

import "testing"

func TestAddShape(t *testing.T) {
	m := parse(t, read(t, "sd/vae_decoder/model.onnx"))
	output := m.Outputs()[0]
	shape := m.AddShape(output)
	after := parse(t, m.Encode())
	outputs := after.Outputs()
	if len(outputs) != 2 || !equal(outputs[0], output) || !equal(outputs[1], shape) || shape.Type != Int64 {
		t.Errorf("the outputs are %v, want %v and its shape", outputs, output)
	}
	last := after.nodes[len(after.nodes)-1]
	if last.op != "Shape" || last.inputs[0] != output.Name || last.outputs[0] != shape.Name {
		t.Errorf("the last node is %+v", last)
	}
}
