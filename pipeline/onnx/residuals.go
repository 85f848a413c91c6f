package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// AddResiduals gives a UNet the inputs that a ControlNet's outputs are for
// (Zhang et al., arXiv 2302.05543): one for each of the skip connections, in
// the order in which the way down makes them, and one for the middle block, the
// last. All are added to what is there, so that zeros change nothing. The
// inputs' four dimensions are open.
//
// It goes by structure: the way up joins what comes from below and a skip
// connection along the channels, the last connection first; the first of these
// joints reads the middle block.
func (m *Model) AddResiduals(skips int) error {
	var joints []node
	for _, n := range m.nodes {
		if n.op == "Concat" && len(n.inputs) == 2 && m.attribute(n, "axis") == 1 {
			joints = append(joints, n)
		}
	}
	if len(joints) != skips {
		return fmt.Errorf("its way up joins %d skip connections, and there are residuals for %d", len(joints), skips)
	}
	i := slices.IndexFunc(m.inputs, func(v value) bool { return len(v.Dims) == 4 })
	if i < 0 {
		return errors.New("none of its inputs has the four dimensions of a sample")
	}
	sample := m.inputs[i]
	added := make([]Port, skips+1)
	for i := range added {
		added[i] = Port{Name: fmt.Sprintf("down_block_additional_residual_%d", i), Type: sample.Type, Dims: []int64{-1, -1, -1, -1}}
	}
	added[skips].Name = "mid_block_additional_residual"

	for i, joint := range joints {
		below, skip := joint.inputs[0], joint.inputs[1]
		names := map[string]string{}
		before := m.add(skip, added[skips-1-i].Name, names)
		if i == 0 {
			before = append(before, m.add(below, added[skips].Name, names)...)
		}
		m.insert(m.fieldStart(joint.at), before)
		m.replace(joint.at, m.rewire(joint.at, names))
	}
	var inputs []byte
	for _, port := range added {
		v := value{Port: port}
		inputs = appendBytes(inputs, graphInput, v.encode())
		m.inputs = append(m.inputs, v)
	}
	m.insert(m.graph.to, inputs)
	return nil
}

// add returns the field of a node that adds an input to a value, and notes the
// sum's name.
func (m *Model) add(value, input string, names map[string]string) []byte {
	sum := value + "+" + input
	names[value] = sum
	return appendBytes(nil, graphNode, node{op: "Add", name: sum, inputs: []string{value, input}, outputs: []string{sum}}.encode())
}
