package onnx

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ExtendTable appends rows of so many numbers to the table that a text encoder
// looks its tokens up in, and returns the first one's id, the number of rows that
// there were. As with [Model.AddProduct] ONNX Runtime works the whole out once.
//
// CLIP's pooled text is the state at the end token. Older configurations look for
// it where the id is largest, which an id behind the end token's would be: to that
// search the new ids are made to look like the lowest.
func (m *Model) ExtendTable(input string, width int, rows []float32) (first int64, err error) {
	produced := m.produced()
	i := slices.IndexFunc(m.nodes, func(n node) bool {
		return n.op == "Gather" && len(n.inputs) == 2 && m.comesFrom(n.inputs[1], input, produced)
	})
	if i < 0 {
		return 0, fmt.Errorf("nothing in it looks up rows of a table by the input %q", input)
	}
	lookup := m.nodes[i]
	table, ok := m.resolve(lookup.inputs[0], produced)
	if !ok || len(table.dims) != 2 || table.dims[1] != int64(width) {
		return 0, fmt.Errorf("its tokens are looked up in a table of the shape %v, want rows of %d", table.dims, width)
	}
	added := matrix{len(rows) / width, width, rows}
	name := lookup.inputs[0] + "+words"
	m.store(added.encode(name + "/rows"))
	var nodes []byte
	more := name + "/rows"
	if table.typ != Float32 {
		nodes = appendBytes(nodes, graphNode, cast(more, name+"/cast", table.typ))
		more = name + "/cast"
	}
	concat := node{op: "Concat", name: name, inputs: []string{lookup.inputs[0], more}, outputs: []string{name}}
	nodes = appendBytes(nodes, graphNode, appendBytes(concat.encode(), nodeAttribute, intAttribute("axis", 0)))
	m.insert(m.fieldStart(lookup.at), nodes)
	m.replace(lookup.at, m.rewire(lookup.at, map[string]string{lookup.inputs[0]: name}))
	m.pool(input, table.dims[0], produced)
	return table.dims[0], nil
}

// pool has the search for the largest id see those from limit on as small ones.
func (m *Model) pool(input string, limit int64, produced map[string]node) {
	for _, n := range m.nodes {
		if n.op != "ArgMax" || len(n.inputs) == 0 || !m.comesFrom(n.inputs[0], input, produced) {
			continue
		}
		typ := m.typeOf(n.inputs[0], input, produced)
		name := n.inputs[0] + "+lowered"
		m.store(encodeScalar(name+"/limit", limit))
		nodes := appendBytes(nil, graphNode, cast(name+"/limit", name+"/typed", typ))
		mod := node{op: "Mod", name: name, inputs: []string{n.inputs[0], name + "/typed"}, outputs: []string{name}}
		encoded := mod.encode()
		if typ != Int32 && typ != Int64 {
			encoded = appendBytes(encoded, nodeAttribute, intAttribute("fmod", 1))
		}
		nodes = appendBytes(nodes, graphNode, encoded)
		m.insert(m.fieldStart(n.at), nodes)
		m.replace(n.at, m.rewire(n.at, map[string]string{n.inputs[0]: name}))
	}
}

// comesFrom tells whether a value is an input's, in another shape or type at most.
func (m *Model) comesFrom(name, input string, produced map[string]node) bool {
	for range len(m.nodes) + 1 { // more are a circle
		if name == input {
			return true
		}
		n := produced[name]
		if len(n.inputs) == 0 || !slices.Contains([]string{"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten"}, n.op) {
			return false
		}
		name = n.inputs[0]
	}
	return false
}

// typeOf is the type of a value that comes from an input.
func (m *Model) typeOf(name, input string, produced map[string]node) Type {
	for name != input {
		n := produced[name]
		if n.op == "Cast" {
			return Type(m.attribute(n, "to"))
		}
		name = n.inputs[0]
	}
	i := slices.IndexFunc(m.inputs, func(v value) bool { return v.Name == input })
	return m.inputs[i].Type
}

// intAttribute writes a node's attribute of one whole number.
func intAttribute(name string, value int64) []byte {
	const kindInt = 2
	b := appendText(nil, attributeName, name)
	b = protowire.AppendVarint(protowire.AppendTag(b, attributeInt, protowire.VarintType), uint64(value))
	return protowire.AppendVarint(protowire.AppendTag(b, attributeKind, protowire.VarintType), kindInt)
}
