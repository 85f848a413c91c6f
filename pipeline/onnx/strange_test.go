package onnx

import (
	"strings"
	"testing"
)

// graphOf is a parsed strange one.
func graphOf(t *testing.T, inputs []Port, nodes ...node) *Model {
	t.Helper()
	return parse(t, strange(inputs, nodes...))
}

// strange is a file of nodes and inputs, with a table of two rows of two numbers,
// called table.
func strange(inputs []Port, nodes ...node) []byte {
	graph := appendBytes(nil, graphInitializer, matrix{2, 2, make([]float32, 4)}.encode("table"))
	for _, n := range nodes {
		graph = appendBytes(graph, graphNode, n.encode())
	}
	for _, port := range inputs {
		graph = appendBytes(graph, graphInput, value{Port: port}.encode())
	}
	return appendBytes(nil, modelGraph, graph)
}

// TestStrangeGraphs holds that what follows a graph from node to node comes to an
// end where its nodes stand in a circle or lack inputs, and says what it misses.
func TestStrangeGraphs(t *testing.T) {
	of := func(op, output string, inputs ...string) node {
		return node{op: op, name: "/layer/" + op, inputs: inputs, outputs: []string{output}}
	}
	circle := []node{of("Cast", "a", "b"), of("Transpose", "b", "a")}
	ids := []Port{{"ids", Int64, []int64{1, -1}}}

	for _, weight := range []string{"a", "c"} { // which nothing makes
		if n := graphOf(t, nil, append(circle, of("MatMul", "y", "x", weight))...).Layers().Len(); n != 0 {
			t.Errorf("a weight that comes from %s makes %d layers", weight, n)
		}
	}
	round := graphOf(t, []Port{{"t", Float32, nil}}, of("Identity", "u", "t", "u"), of("Cast", "u", "u"))
	if round.TimestepPerRow("t") || round.Edited() {
		t.Error("a timestep that goes in a circle is given a row")
	}
	for name, m := range map[string]*Model{
		"a circle":  graphOf(t, ids, of("Cast", "a", "b"), of("Reshape", "b", "a"), of("Gather", "y", "table", "a")),
		"no inputs": graphOf(t, ids, of("Cast", "a"), of("Gather", "y", "table", "a")),
	} {
		if _, err := m.ExtendTable("ids", 2, make([]float32, 2)); err == nil || !strings.Contains(err.Error(), "looks up rows of a table") {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, err := graphOf(t, ids, of("Gather", "y", "table", "ids"), of("ArgMax", "z")).ExtendTable("ids", 2, make([]float32, 2))
	if err != nil || first != 2 {
		t.Errorf("beside an ArgMax of nothing the first new row is %d: %v", first, err)
	}
	if err := graphOf(t, ids).AddResiduals(0); err == nil || !strings.Contains(err.Error(), "four dimensions") {
		t.Errorf("residuals for a graph without a sample: %v", err)
	}
	if err := graphOf(t, ids, of("LayerNormalization", "y")).SkipLayers("y", 1); err == nil || !strings.Contains(err.Error(), "no layer norm") {
		t.Errorf("a layer norm of nothing: %v", err)
	}
}
