package onnx

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// SkipLayers makes a CLIP text encoder leave out its last layers: output
// becomes the final layer norm of the state before them. Exports of Stable
// Diffusion 1.x give out the last state only.
//
// It goes by structure, since names differ between exporters: a transformer
// layer is two residual additions, x + attention(norm(x)) and x + mlp(norm(x)),
// and the x of each is the operand that the layer's norm reads as well.
func (m *Model) SkipLayers(output string, layers int) error {
	last, err := m.beforeFinalNorm(output)
	if err != nil {
		return err
	}
	state := last
	for i := range 2 * layers {
		add, ok := m.producer(state)
		if !ok || add.op != "Add" {
			return tooFew(i/2, output)
		}
		residual := slices.DeleteFunc(slices.Clone(add.inputs), func(name string) bool {
			return m.stores(name) || m.readers(name) < 2
		})
		if len(residual) != 1 {
			return tooFew(i/2, output)
		}
		state = residual[0]
	}
	for _, n := range m.nodes {
		if slices.Contains(n.inputs, last) {
			m.replace(n.at, m.rewire(n.at, map[string]string{last: state}))
		}
	}
	return nil
}

func tooFew(layers int, output string) error {
	return fmt.Errorf("only %d layers of a CLIP text encoder stand before the output %q", layers, output)
}

// beforeFinalNorm returns the name of what the layer norm before output reads.
func (m *Model) beforeFinalNorm(output string) (string, error) {
	name := output
	// One node from opset 17 on; before it the norm is Sub, Div, Mul, Add.
	for _, op := range []string{"Cast", "Add", "Mul", "Div", "Sub"} {
		n, ok := m.producer(name)
		ok = ok && len(n.inputs) > 0
		if ok && n.op == "LayerNormalization" {
			return n.inputs[0], nil
		}
		if ok && n.op == op {
			name = n.inputs[0]
			if op == "Sub" {
				return name, nil
			}
			if m.stores(name) && len(n.inputs) == 2 {
				name = n.inputs[1]
			}
		} else if op != "Cast" {
			break
		}
	}
	return "", errors.New("no layer norm stands before the output " + output)
}

func (m *Model) producer(name string) (node, bool) {
	i := slices.IndexFunc(m.nodes, func(n node) bool { return slices.Contains(n.outputs, name) })
	if i < 0 {
		return node{}, false
	}
	return m.nodes[i], true
}

// readers counts the nodes that read a value.
func (m *Model) readers(name string) int {
	count := 0
	for _, n := range m.nodes {
		if slices.Contains(n.inputs, name) {
			count++
		}
	}
	return count
}

// rewire returns the node in at with some of its inputs' names replaced.
func (m *Model) rewire(at span, names map[string]string) []byte {
	var b []byte
	for rest := m.data[at.from:at.to]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		size := n + protowire.ConsumeFieldValue(number, kind, rest[n:])
		if number == nodeInput {
			name, _ := protowire.ConsumeString(rest[n:])
			if to, ok := names[name]; ok {
				b = appendText(b, nodeInput, to)
				rest = rest[size:]
				continue
			}
		}
		b = append(b, rest[:size]...)
		rest = rest[size:]
	}
	return b
}
