package onnx

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestAddResiduals holds that every joint of the way up reads sums that are
// made before it, and that the rest of the graph is as it was.
func TestAddResiduals(t *testing.T) {
	for path, skips := range map[string]int{"sd/unet/model.onnx": 4, "variants/xl/unet/model.onnx": 4, "variants/half/unet/model.onnx": 4} {
		before := parse(t, read(t, path))
		m := parse(t, read(t, path))
		if err := m.AddResiduals(skips); err != nil {
			t.Fatal(err)
		}
		after := parse(t, m.Encode())
		inputs := after.Inputs()
		ports := inputs[len(before.Inputs()):]
		for i, port := range ports {
			want := fmt.Sprintf("down_block_additional_residual_%d", i)
			if i == skips {
				want = "mid_block_additional_residual"
			}
			if !equal(port, Port{want, inputs[0].Type, []int64{-1, -1, -1, -1}}) {
				t.Errorf("%s: the new input %d is %v", path, i, port)
			}
		}
		if len(ports) != skips+1 || !slices.EqualFunc(inputs, m.Inputs(), equal) {
			t.Errorf("%s: the new inputs are %v, and it says %v", path, ports, m.Inputs())
		}
		made := map[string]bool{}
		read := map[string]int{}
		for _, n := range after.nodes {
			if n.op == "Add" && strings.Contains(n.name, "additional_residual") {
				read[n.inputs[1]]++
			} else if n.op == "Concat" && after.attribute(n, "axis") == 1 {
				for _, input := range n.inputs {
					if strings.Contains(input, "additional_residual") && !made[input] {
						t.Errorf("%s: %s is read before it is made", path, input)
					}
				}
			}
			for _, output := range n.outputs {
				made[output] = true
			}
		}
		for _, port := range ports {
			if read[port.Name] != 1 {
				t.Errorf("%s: %s is added %d times", path, port.Name, read[port.Name])
			}
		}
		if got, want := len(after.nodes), len(before.nodes)+len(ports); got != want || len(after.weights) != len(before.weights) {
			t.Errorf("%s: %d nodes, want %d", path, got, want)
		}
	}
	m := parse(t, read(t, "sd/unet/model.onnx"))
	if err := m.AddResiduals(12); err == nil || !strings.Contains(err.Error(), "4 skip connections") || m.Edited() {
		t.Errorf("12 residuals for 4 skip connections: %v", err)
	}
}
