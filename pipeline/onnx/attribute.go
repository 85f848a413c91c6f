package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// More field numbers of onnx.proto: of AttributeProto, NodeProto and TensorProto.
const (
	attributeTensor = 5
	attributeKind   = 20
	nodeDomain      = 7
	nodeMetadata    = 9

	tensorDims   = 1
	tensorType   = 2
	tensorFloats = 4
	tensorInts   = 7
	tensorRaw    = 9
)

// attribute returns a node's integer attribute, or the first of several, 0
// where it has none.
func (m *Model) attribute(n node, name string) int64 {
	at, ok := m.attributeField(n, name)
	if !ok {
		return 0
	}
	return m.varint(at, attributeInt, m.varint(at, attributeInts, 0))
}

// constantTensor returns the payload of a Constant node's tensor.
func (m *Model) constantTensor(n node) (tensor span, ok bool) {
	if at, has := m.attributeField(n, "value"); has {
		_ = m.fields(at, func(number protowire.Number, at span) error {
			if number == attributeTensor {
				tensor, ok = at, true
			}
			return nil
		})
	}
	return tensor, ok
}

// known returns the tensor of a value that stands in the graph: of an
// initializer, or of its maker, if that is a Constant node.
func (m *Model) known(name string, maker node) (tensor span, ok bool) {
	if tensor, ok = m.weights[name]; !ok && maker.op == "Constant" {
		tensor, ok = m.constantTensor(maker)
	}
	return tensor, ok
}

// varints returns the values of a repeated varint field of the message in at,
// packed or one by one.
func (m *Model) varints(at span, number protowire.Number) (values []int64) {
	for rest := m.data[at.from:at.to]; len(rest) > 0; {
		got, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			break
		}
		size := protowire.ConsumeFieldValue(got, kind, rest[n:])
		if size < 0 {
			break
		}
		if got == number && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(rest[n:])
			values = append(values, int64(v))
		} else if got == number && kind == protowire.BytesType {
			packed, _ := protowire.ConsumeBytes(rest[n:])
			for len(packed) > 0 {
				v, size := protowire.ConsumeVarint(packed)
				if size < 0 {
					break
				}
				values, packed = append(values, int64(v)), packed[size:]
			}
		}
		rest = rest[n+size:]
	}
	return values
}

// attributeField returns the payload of a node's attribute.
func (m *Model) attributeField(n node, name string) (found span, ok bool) {
	_ = m.fields(n.at, func(number protowire.Number, at span) error {
		if number != nodeAttribute {
			return nil
		}
		return m.fields(at, func(number protowire.Number, field span) error {
			if number == attributeName && m.text(field) == name {
				found, ok = at, true
			}
			return nil
		})
	})
	return found, ok
}

// constant returns the floats of an initializer, or of a Constant node, that
// stands in the graph itself.
func (m *Model) constant(name string) []float32 {
	maker, _ := m.producer(name)
	tensor, ok := m.known(name, maker)
	if !ok || Type(m.varint(tensor, tensorType, 0)) != Float32 {
		return nil
	}
	var floats []float32
	_ = m.fields(tensor, func(number protowire.Number, at span) error {
		if number == tensorRaw || number == tensorFloats {
			for raw := m.data[at.from:at.to]; len(raw) >= 4; raw = raw[4:] {
				floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
			}
		}
		return nil
	})
	return floats
}
