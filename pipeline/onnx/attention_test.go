package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func ops(m *Model) (list []string) {
	for _, n := range m.nodes {
		list = append(list, n.op)
	}
	return list
}

func count(list []string, op string) (n int) {
	for _, one := range list {
		if one == op {
			n++
		}
	}
	return n
}

// TestFuseAttention holds that every attention of a UNet is fused, that nothing
// of it is left, and that nothing else changes.
func TestFuseAttention(t *testing.T) {
	for path, want := range map[string]int{
		"sd/unet/model.onnx":                8,
		"variants/xl/unet/model.onnx":       8,
		"variants/half/unet/model.onnx":     8,
		"variants/external/unet/model.onnx": 8,
		"variants/fused/unet/model.onnx":    16, // with ControlNets in it
		"variants/dynamo/unet/model.onnx":   8,  // by PyTorch's newer exporter
	} {
		data := read(t, path)
		before, m := parse(t, data), parse(t, bytes.Clone(data))
		if got := m.FuseAttention(); got != want {
			t.Fatalf("%s: %d attentions are fused, want %d", path, got, want)
		}
		encoded := m.Encode()
		after := parse(t, encoded)
		if n := count(ops(after), "MultiHeadAttention"); n != want || slices.Contains(ops(after), "Softmax") {
			t.Errorf("%s: %d fused attentions, and %d softmaxes are left", path, n, count(ops(after), "Softmax"))
		}
		if !slices.EqualFunc(after.Inputs(), before.Inputs(), equal) || !slices.EqualFunc(after.Outputs(), before.Outputs(), equal) || len(after.weights) != len(before.weights) {
			t.Errorf("%s: inputs, outputs or weights have changed", path)
		}
		w, old := after.wiring(), before.wiring()
		for _, n := range after.nodes {
			if n.op == "MultiHeadAttention" {
				if heads := after.attribute(n, "num_heads"); heads != 2 && heads != 1 && heads != 4 {
					t.Errorf("%s: %d heads", path, heads)
				}
			} else if was := old.makers[n.outputs[0]]; !bytes.Equal(after.data[n.at.from:n.at.to], before.data[was.at.from:was.at.to]) {
				t.Errorf("%s: node %v became %v", path, was, n)
			}
			for _, input := range n.inputs {
				_, made := w.makers[input]
				if had := slices.ContainsFunc(after.inputs, func(v value) bool { return v.Name == input }); input != "" && !made && !had && !after.stores(input) {
					t.Errorf("%s: %s reads %q, which is nowhere", path, n.op, input)
				}
			}
		}
		again := parse(t, append(make([]byte, 0, len(data)+1<<14), data...))
		again.FuseAttention()
		if !bytes.Equal(again.Encode(), encoded) {
			t.Errorf("%s: changed in place the file is another", path)
		}
	}
}

// Attentions with a mask stay as they are.
func TestFuseAttentionLeaves(t *testing.T) {
	m := parse(t, read(t, "sd/text_encoder/model.onnx"))
	if n := m.FuseAttention(); n != 0 || m.Edited() {
		t.Errorf("%d attentions are fused", n)
	}
}

// TestFuseAttentionLooks has one thing after the other be another than it is in
// the first attention of a graph, which is then left alone.
func TestFuseAttentionLooks(t *testing.T) {
	for _, path := range []string{"sd/unet/model.onnx", "variants/dynamo/unet/model.onnx"} {
		data := read(t, path)
		m := parse(t, data)
		w := m.wiring()
		softmax := m.nodes[slices.IndexFunc(m.nodes, func(n node) bool { return n.op == "Softmax" })]
		scores := w.maker(softmax, 0, "MatMul")
		q, k := w.maker(scores, 0, "Mul"), w.maker(scores, 1, "Mul")
		weighted := w.reader(softmax, "MatMul")
		back := w.reader(weighted, "Transpose")
		places := map[string]node{
			"the scores":     scores,
			"q's scale":      q,
			"k's scale":      k,
			"q's order":      w.maker(q, 0, "Transpose"),
			"v's order":      w.maker(weighted, 1, "Transpose"),
			"q's heads":      w.maker(w.maker(q, 0, "Transpose"), 0, "Reshape"),
			"the weights":    weighted,
			"the order back": back,
			"the shape back": w.reader(back, "Reshape"),
		}
		if keys := w.maker(k, 0, "Reshape"); keys.op == "" {
			root := w.maker(q, 1, "Sqrt")
			places["the root"], places["what the root is of"] = root, w.past(root, 0)
			places["k's order"] = w.maker(k, 0, "Transpose")
		} else {
			swap := w.maker(keys, 0, "Transpose")
			flat := w.maker(swap, 0, "Reshape")
			places["k's shape"], places["k's swap"], places["k's shape while it is swapped"] = keys, swap, flat
			places["k's order"] = w.maker(flat, 0, "Transpose")
			for i := range 3 {
				places["a size of k, "+string('1'+rune(i))] = w.makers[w.maker(keys, 1, "Concat").inputs[i]]
			}
		}
		for name, n := range places {
			if n.op == "" {
				t.Fatalf("%s: %s is not there", path, name)
			}
			other := parse(t, bytes.Clone(data))
			i := slices.IndexFunc(other.nodes, func(o node) bool { return o.at == n.at })
			other.nodes[i].op = "Other"
			if got := other.FuseAttention(); got != 7 {
				t.Errorf("%s: with another node for %s %d attentions are fused, want 7", path, name, got)
			}
		}
		// A value that is read elsewhere too must stay.
		for name, output := range map[string]string{"scores": softmax.outputs[0], "sums": weighted.outputs[0], "sums in order": back.outputs[0]} {
			other := parse(t, bytes.Clone(data))
			other.outputs = append(other.outputs, value{Port: Port{Name: output}})
			if got := other.FuseAttention(); got != 7 {
				t.Errorf("%s: with the %s given out %d attentions are fused, want 7", path, name, got)
			}
		}
	}
}

// TestFuseAttentionScale has the number be another that queries and keys are
// multiplied by: of all attentions of a graph, which share it.
func TestFuseAttentionScale(t *testing.T) {
	data := read(t, "variants/dynamo/unet/model.onnx")
	m := parse(t, data)
	w := m.wiring()
	softmax := m.nodes[slices.IndexFunc(m.nodes, func(n node) bool { return n.op == "Softmax" })]
	scale := w.maker(w.maker(softmax, 0, "MatMul"), 0, "Mul").inputs[1]
	sharing := 0
	for _, n := range m.nodes {
		if n.op == "Mul" && slices.Contains(n.inputs, scale) {
			sharing++
		}
	}
	_ = m.fields(m.weights[scale], func(number protowire.Number, at span) error {
		if number == tensorRaw {
			binary.LittleEndian.PutUint32(data[at.from:], math.Float32bits(.7))
		}
		return nil
	})
	if got, want := m.FuseAttention(), 8-sharing/2; sharing == 0 || got != want {
		t.Errorf("with another scale %d attentions are fused, want %d", got, want)
	}
}
