package onnx

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ONNX Runtime reads the numbers of any tensor from a file that the tensor names:
// of initializers, of those in nodes' attributes, as a Constant has, and of both in
// graphs within nodes.

// Field numbers of AttributeProto and SparseTensorProto.
const (
	attributeGraph   = 6
	attributeTensors = 10
	attributeGraphs  = 11
	attributeSparse  = 22
	attributeSparses = 23

	sparseValues  = 1
	sparseIndices = 2
)

// maxDepth bounds the recursion into graphs within nodes.
const maxDepth = 32

// parseTensor notes the file that a tensor's numbers are in, if one is named.
func (m *Model) parseTensor(tensor span) error {
	return m.fields(tensor, func(number protowire.Number, at span) error {
		if number != initializerExternal {
			return nil
		}
		key, value, err := m.entry(at)
		if err == nil && key == "location" && !slices.Contains(m.files, value) {
			m.files = append(m.files, value)
		}
		return err
	})
}

func (m *Model) parseSparse(tensor span) error {
	return m.fields(tensor, func(number protowire.Number, at span) error {
		if number == sparseValues || number == sparseIndices {
			return m.parseTensor(at)
		}
		return nil
	})
}

// parseAttributes looks for tensors in a node's attributes.
func (m *Model) parseAttributes(node span, depth int) error {
	if depth > maxDepth {
		return errors.New("graphs within graphs, too many")
	}
	return m.fields(node, func(number protowire.Number, at span) error {
		if number != nodeAttribute {
			return nil
		}
		return m.fields(at, func(number protowire.Number, at span) error {
			switch number {
			case attributeTensor, attributeTensors:
				return m.parseTensor(at)
			case attributeSparse, attributeSparses:
				return m.parseSparse(at)
			case attributeGraph, attributeGraphs:
				return m.parseInner(at, depth+1)
			}
			return nil
		})
	})
}

// parseInner looks for tensors in a graph within a node.
func (m *Model) parseInner(graph span, depth int) error {
	return m.fields(graph, func(number protowire.Number, at span) error {
		switch number {
		case graphNode:
			return m.parseAttributes(at, depth)
		case graphInitializer:
			return m.parseTensor(at)
		case graphSparse:
			return m.parseSparse(at)
		}
		return nil
	})
}
