package onnx

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestFiles finds the files of tensors wherever these stand.
func TestFiles(t *testing.T) {
	tensor := func(file string) []byte {
		return appendBytes(nil, initializerExternal, appendText(appendText(nil, entryKey, "location"), entryValue, file))
	}
	with := func(attribute protowire.Number, payload []byte) []byte { // a node
		return appendBytes(nil, nodeAttribute, appendBytes(nil, attribute, payload))
	}
	inner := func(file string) []byte { return appendBytes(nil, graphInitializer, tensor(file)) }
	var graph []byte
	for _, node := range [][]byte{
		with(attributeTensor, tensor("constant")),
		with(attributeTensors, tensor("one of several")),
		with(attributeSparse, appendBytes(nil, sparseIndices, tensor("sparse constant"))),
		with(attributeGraph, inner("branch")),
		with(attributeGraphs, appendBytes(nil, graphNode, with(attributeTensor, tensor("constant of a branch")))),
	} {
		graph = appendBytes(graph, graphNode, node)
	}
	graph = appendBytes(graph, graphInitializer, tensor("initializer"))
	graph = appendBytes(graph, graphInitializer, tensor("initializer"))
	graph = appendBytes(graph, graphSparse, appendBytes(nil, sparseValues, tensor("sparse")))
	file := appendBytes(nil, modelGraph, graph)
	file = appendBytes(file, modelFunction, appendBytes(nil, functionNode, with(attributeTensor, tensor("function"))))
	got := parse(t, file).Files()
	slices.Sort(got)
	want := []string{"branch", "constant", "constant of a branch", "function", "initializer", "one of several", "sparse", "sparse constant"}
	if !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}

	deep := inner("deep")
	for range maxDepth + 2 {
		deep = appendBytes(nil, graphNode, with(attributeGraph, deep))
	}
	if _, err := Parse(appendBytes(nil, modelGraph, deep)); err == nil || !strings.Contains(err.Error(), "graphs within graphs") {
		t.Errorf("graphs within %d graphs: %v", maxDepth+2, err)
	}
}
