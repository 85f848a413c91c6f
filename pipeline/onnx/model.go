// Package onnx reads what a pipeline must know of an ONNX file, and makes the
// few changes to graphs that the usual exports need. It looks at the protobuf
// itself and leaves all that it doesn't change as it is, byte for byte, so
// that weights of gigabytes cost no more than reading them.
package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Type is an element type, numbered as in ONNX.
type Type int32

const (
	Float32 Type = 1
	Int32   Type = 6
	Int64   Type = 7
	Float16 Type = 10
	Float64 Type = 11
)

func (t Type) String() string {
	switch t {
	case Float32:
		return "float32"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	case Float64:
		return "float64"
	}
	return fmt.Sprintf("ONNX type %d", int32(t))
}

// Port is an input or output of a graph.
type Port struct {
	Name string
	Type Type
	Dims []int64 // -1 where the graph leaves a dimension open; none for a scalar
}

// Model is a parsed ONNX file.
type Model struct {
	data    []byte
	graph   span
	inputs  []value
	outputs []value
	nodes   []node
	weights map[string]span // the payloads of the initializers' TensorProtos, by name
	files   []string        // external data, wherever the model names it, each once, relative to the model's folder
	edits   []edit
	edited  map[span]int // the edits of fields that were there, by payload
}

type span struct{ from, to int }

type value struct {
	Port
	at span // the payload of its ValueInfoProto field
}

type node struct {
	op      string
	name    string
	inputs  []string
	outputs []string
	at      span // the payload of its NodeProto field
}

// Field numbers of onnx.proto.
const (
	modelGraph    = 7
	modelFunction = 25
	functionNode  = 7

	graphNode        = 1
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	graphSparse      = 15

	nodeInput  = 1
	nodeOutput = 2
	nodeName   = 3
	nodeOp     = 4

	nodeAttribute = 5
	attributeName = 1
	attributeInt  = 3
	attributeInts = 8

	valueName     = 1
	valueType     = 2
	typeTensor    = 1
	tensorElement = 1
	tensorShape   = 2
	shapeDim      = 1
	dimValue      = 1
	dimParam      = 2

	initializerName     = 8
	initializerExternal = 13
	entryKey            = 1
	entryValue          = 2
)

// Parse reads an ONNX file. The model keeps data, and [Model.Encode] may
// change it.
func Parse(data []byte) (*Model, error) {
	if bytes.HasPrefix(data, []byte("version https://git-lfs")) {
		return nil, errors.New("a Git LFS pointer, not the file itself: run git lfs pull")
	}
	m := &Model{data: data, weights: map[string]span{}, edited: map[span]int{}}
	err := m.fields(span{0, len(data)}, func(number protowire.Number, at span) error {
		switch number {
		case modelGraph:
			m.graph = at
		case modelFunction:
			return m.fields(at, func(number protowire.Number, at span) error {
				if number == functionNode {
					return m.parseAttributes(at, 0)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && m.graph.to == 0 {
		err = errors.New("it holds no graph")
	}
	if err == nil {
		err = m.fields(m.graph, m.parseGraphField)
	}
	if err != nil {
		return nil, fmt.Errorf("not an ONNX file: %w", err)
	}
	// Before IR version 4 every initializer was an input too.
	m.inputs = slices.DeleteFunc(m.inputs, func(v value) bool { return m.stores(v.Name) })
	return m, nil
}

// Inputs returns what a call must feed, in the graph's order.
func (m *Model) Inputs() []Port { return ports(m.inputs) }

// Outputs returns what a call may ask for, in the graph's order.
func (m *Model) Outputs() []Port { return ports(m.outputs) }

// Files returns the names of the files beside the model that hold its weights.
func (m *Model) Files() []string { return m.files }

// fields calls f for every length-delimited field of the message in at.
func (m *Model) fields(at span, f func(protowire.Number, span) error) error {
	for at.from < at.to {
		rest := m.data[at.from:at.to]
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if kind == protowire.BytesType {
			payload, _ := protowire.ConsumeBytes(rest[n:])
			end := at.from + n + size
			if err := f(number, span{end - len(payload), end}); err != nil {
				return err
			}
		}
		at.from += n + size
	}
	return nil
}

// entry reads a StringStringEntryProto.
func (m *Model) entry(at span) (key, value string, err error) {
	err = m.fields(at, func(number protowire.Number, at span) error {
		switch number {
		case entryKey:
			key = m.text(at)
		case entryValue:
			value = m.text(at)
		}
		return nil
	})
	return key, value, err
}

// varint returns the value of a varint field of the message in at, or absent.
func (m *Model) varint(at span, number protowire.Number, absent int64) int64 {
	if values := m.varints(at, number); len(values) > 0 {
		return values[0]
	}
	return absent
}

// stores tells whether a value is one of the initializers.
func (m *Model) stores(name string) bool {
	_, ok := m.weights[name]
	return ok
}

func (m *Model) text(at span) string { return string(m.data[at.from:at.to]) }

func (m *Model) parseGraphField(number protowire.Number, at span) error {
	switch number {
	case graphNode:
		return m.parseNode(at)
	case graphInitializer:
		return m.parseInitializer(at)
	case graphSparse:
		return m.parseSparse(at)
	case graphInput, graphOutput:
		v, err := m.parseValue(at)
		if err != nil {
			return err
		}
		if number == graphInput {
			m.inputs = append(m.inputs, v)
		} else {
			m.outputs = append(m.outputs, v)
		}
	}
	return nil
}

func (m *Model) parseNode(at span) error {
	n := node{at: at}
	err := m.fields(at, func(number protowire.Number, at span) error {
		switch number {
		case nodeInput:
			n.inputs = append(n.inputs, m.text(at))
		case nodeOutput:
			n.outputs = append(n.outputs, m.text(at))
		case nodeName:
			n.name = m.text(at)
		case nodeOp:
			n.op = m.text(at)
		}
		return nil
	})
	m.nodes = append(m.nodes, n)
	if err == nil {
		err = m.parseAttributes(at, 0)
	}
	return err
}

func (m *Model) parseInitializer(tensor span) error {
	err := m.fields(tensor, func(number protowire.Number, at span) error {
		if number == initializerName {
			m.weights[m.text(at)] = tensor
		}
		return nil
	})
	if err == nil {
		err = m.parseTensor(tensor)
	}
	return err
}

func (m *Model) parseValue(at span) (value, error) {
	v := value{at: at}
	err := m.fields(at, func(number protowire.Number, at span) error {
		switch number {
		case valueName:
			v.Name = m.text(at)
		case valueType:
			return m.fields(at, func(number protowire.Number, at span) error {
				if number != typeTensor {
					return nil
				}
				v.Type = Type(m.varint(at, tensorElement, 0))
				return m.fields(at, func(number protowire.Number, at span) error {
					if number != tensorShape {
						return nil
					}
					return m.fields(at, func(number protowire.Number, at span) error {
						if number == shapeDim {
							v.Dims = append(v.Dims, m.varint(at, dimValue, -1))
						}
						return nil
					})
				})
			})
		}
		return nil
	})
	return v, err
}

func ports(values []value) []Port {
	list := make([]Port, len(values))
	for i, v := range values {
		list[i] = v.Port
	}
	return list
}
