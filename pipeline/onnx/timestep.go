package onnx

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// TimestepPerRow makes a scalar input one value a row, and tells whether it
// did. Optimum exports a UNet's timestep as a scalar that one Unsqueeze makes
// a vector of length one, before it is expanded to the batch: the input takes
// the vector's shape and that node becomes an Identity. Where a graph does
// anything else with its scalar it stays as it is.
func (m *Model) TimestepPerRow(input string) bool {
	i := slices.IndexFunc(m.inputs, func(v value) bool { return v.Name == input })
	if i < 0 || len(m.inputs[i].Dims) > 0 {
		return false
	}
	unsqueeze, ok := m.unsqueezes(input)
	if !ok || len(unsqueeze) == 0 {
		return false
	}
	for _, n := range unsqueeze {
		identity := node{op: "Identity", name: n.name, inputs: n.inputs[:1], outputs: n.outputs}
		m.replace(n.at, identity.encode())
	}
	v := &m.inputs[i]
	v.Dims = []int64{-1}
	m.replace(v.at, v.encode())
	return true
}

// unsqueezes returns the nodes that make a vector of a scalar, past casts. ok is
// false where something else reads the scalar.
func (m *Model) unsqueezes(scalar string) (found []node, ok bool) {
	names := []string{scalar} // and those of its casts
	for i := 0; i < len(names); i++ {
		for _, n := range m.nodes {
			if !slices.Contains(n.inputs, names[i]) {
				continue
			}
			switch {
			case n.op == "Unsqueeze" && n.inputs[0] == names[i]:
				found = append(found, n)
			case (n.op == "Cast" || n.op == "Identity") && len(n.outputs) == 1:
				if !slices.Contains(names, n.outputs[0]) { // else it is a circle
					names = append(names, n.outputs[0])
				}
			default:
				return nil, false
			}
		}
	}
	return found, !slices.ContainsFunc(m.outputs, func(v value) bool { return slices.Contains(names, v.Name) })
}

// encode writes a node without attributes.
func (n node) encode() []byte {
	var b []byte
	for _, name := range n.inputs {
		b = appendText(b, nodeInput, name)
	}
	for _, name := range n.outputs {
		b = appendText(b, nodeOutput, name)
	}
	b = appendText(b, nodeName, n.name)
	return appendText(b, nodeOp, n.op)
}

// encode writes a value. Its open dimensions get names of their own.
func (v value) encode() []byte {
	var shape []byte
	for i, n := range v.Dims {
		dim := appendText(nil, dimParam, fmt.Sprintf("%s_dim_%d", v.Name, i))
		if n >= 0 {
			dim = protowire.AppendVarint(protowire.AppendTag(nil, dimValue, protowire.VarintType), uint64(n))
		}
		shape = appendBytes(shape, shapeDim, dim)
	}
	tensor := protowire.AppendTag(nil, tensorElement, protowire.VarintType)
	tensor = protowire.AppendVarint(tensor, uint64(v.Type))
	tensor = appendBytes(tensor, tensorShape, shape)
	return appendBytes(appendText(nil, valueName, v.Name), valueType, appendBytes(nil, typeTensor, tensor))
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendBytes(b []byte, number protowire.Number, payload []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), payload)
}
