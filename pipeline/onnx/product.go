package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// AddProduct adds a product of two matrices to a layer's weight: up, [Out rank],
// times down, [rank In], of a convolution [rank In kernel kernel]. The graph
// does so in nodes of its own, from the weight as it is stored: ONNX Runtime
// works constants out when it makes a session, before it rearranges any, so that
// nothing of it is left in a call, and weights of gigabytes beside the graph
// needn't be read here. A layer takes one product.
func (m *Model) AddProduct(l Layer, rank int, up, down []float32) {
	inner := l.In
	if l.Kernel != [2]int{} {
		inner *= l.Kernel[0] * l.Kernel[1]
	}
	left, right := matrix{l.Out, rank, up}, matrix{rank, inner, down}
	if l.transposed {
		left, right = right.transpose(), left.transpose()
	}
	name := l.weight + "+" + l.Path
	var nodes []byte
	chain := func(op, output string, inputs ...string) string {
		nodes = appendBytes(nodes, graphNode, node{op: op, name: output, inputs: inputs, outputs: []string{output}}.encode())
		return output
	}
	m.store(left.encode(name+"/left"), right.encode(name+"/right"))
	product := chain("MatMul", name+"/product", name+"/left", name+"/right")
	if len(l.dims) == 4 {
		m.store(encodeInts(name+"/shape", l.dims))
		product = chain("Reshape", name+"/shaped", product, name+"/shape")
	}
	if l.typ == Float32 {
		chain("Add", name, l.weight, product)
	} else {
		// The sum is rounded once, to the weight's own type.
		nodes = appendBytes(nodes, graphNode, cast(l.weight, name+"/float", Float32))
		chain("Add", name+"/sum", name+"/float", product)
		nodes = appendBytes(nodes, graphNode, cast(name+"/sum", name, l.typ))
	}
	for i, n := range l.nodes {
		if i == 0 {
			m.insert(m.fieldStart(n.at), nodes)
		}
		m.replace(n.at, m.rewire(n.at, map[string]string{l.weight: name}))
	}
}

// store adds initializers to the graph.
func (m *Model) store(tensors ...[]byte) {
	var fields []byte
	for _, tensor := range tensors {
		fields = appendBytes(fields, graphInitializer, tensor)
	}
	m.insert(m.graph.to, fields)
}

// cast is a node that turns a value into another type.
func cast(from, to string, typ Type) []byte {
	n := node{op: "Cast", name: to, inputs: []string{from}, outputs: []string{to}}
	return appendBytes(n.encode(), nodeAttribute, intAttribute("to", int64(typ)))
}

// matrix is row-major.
type matrix struct {
	rows, columns int
	values        []float32
}

func (a matrix) transpose() matrix {
	t := matrix{a.columns, a.rows, make([]float32, len(a.values))}
	for i, v := range a.values {
		t.values[i%a.columns*a.rows+i/a.columns] = v
	}
	return t
}

// encode writes a matrix as an initializer.
func (a matrix) encode(name string) []byte {
	raw := make([]byte, 0, 4*len(a.values))
	for _, v := range a.values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return encodeTensor(name, Float32, []int64{int64(a.rows), int64(a.columns)}, raw)
}

// encodeInts writes a vector of whole numbers as an initializer.
func encodeInts(name string, values []int64) []byte {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return encodeTensor(name, Int64, []int64{int64(len(values))}, raw)
}

// encodeScalar writes a whole number as an initializer.
func encodeScalar(name string, value int64) []byte {
	return encodeTensor(name, Int64, nil, binary.LittleEndian.AppendUint64(nil, uint64(value)))
}

func encodeTensor(name string, typ Type, dims []int64, raw []byte) []byte {
	var b []byte
	for _, n := range dims {
		b = protowire.AppendVarint(protowire.AppendTag(b, tensorDims, protowire.VarintType), uint64(n))
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, tensorType, protowire.VarintType), uint64(typ))
	return appendBytes(appendText(b, initializerName, name), tensorRaw, raw)
}
