package onnx

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, data []byte) *Model {
	t.Helper()
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPorts(t *testing.T) {
	m := parse(t, read(t, "variants/half/unet/model.onnx"))
	want := []Port{
		{"sample", Float16, []int64{-1, 4, -1, -1}}, {"timestep", Float16, nil}, {"encoder_hidden_states", Float16, []int64{-1, -1, 16}},
	}
	if got := m.Inputs(); !slices.EqualFunc(got, want, equal) {
		t.Errorf("the inputs are %v, want %v", got, want)
	}
	if got := m.Outputs(); len(got) != 1 || got[0].Name != "out_sample" || len(got[0].Dims) != 4 {
		t.Errorf("the outputs are %v", got)
	}
	if m := parse(t, read(t, "variants/external/unet/model.onnx")); !slices.Equal(m.Files(), []string{"model.onnx_data"}) {
		t.Errorf("the external files are %v", m.Files())
	}
}

func equal(a, b Port) bool {
	return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Dims, b.Dims)
}

// TestTimestepPerRow holds that the edit changes the input and one node, and
// nothing else.
func TestTimestepPerRow(t *testing.T) {
	for _, path := range []string{"sd/unet/model.onnx", "variants/half/unet/model.onnx"} {
		before := parse(t, read(t, path))
		m := parse(t, read(t, path))
		if !m.TimestepPerRow("timestep") || !m.Edited() {
			t.Fatalf("%s: the scalar is left as it is", path)
		}
		after := parse(t, m.Encode())
		if got := after.Inputs()[1]; got.Type != before.Inputs()[1].Type || !slices.Equal(got.Dims, []int64{-1}) {
			t.Errorf("%s: the input is %v", path, got)
		}
		changed := 0
		for i, n := range after.nodes {
			old := before.nodes[i]
			if bytes.Equal(after.data[n.at.from:n.at.to], before.data[old.at.from:old.at.to]) {
				continue
			}
			changed++
			if old.op != "Unsqueeze" || n.op != "Identity" || !slices.Equal(n.outputs, old.outputs) || !slices.Equal(n.inputs, old.inputs[:1]) {
				t.Errorf("%s: node %v became %v", path, old, n)
			}
		}
		if changed != 1 || len(after.nodes) != len(before.nodes) || len(after.weights) != len(before.weights) {
			t.Errorf("%s: %d nodes changed, %d of %d nodes, %d of %d weights", path, changed, len(after.nodes), len(before.nodes), len(after.weights), len(before.weights))
		}
	}
	for _, path := range []string{"variants/int64/unet/model.onnx", "sd/text_encoder/model.onnx"} {
		if m := parse(t, read(t, path)); m.TimestepPerRow("timestep") || m.Edited() {
			t.Errorf("%s has no scalar timestep, and was edited", path)
		}
	}
}

// TestEncodeWithinSlack holds that an edit of a file that was read with room
// for it copies nothing.
func TestEncodeWithinSlack(t *testing.T) {
	data := read(t, "sd/unet/model.onnx")
	roomy := append(make([]byte, 0, len(data)+4096), data...)
	m := parse(t, roomy)
	m.TimestepPerRow("timestep")
	if encoded := m.Encode(); &encoded[0] != &roomy[0] {
		t.Error("the file was copied")
	}
	if m := parse(t, data); !bytes.Equal(m.Encode(), data) {
		t.Error("a model that isn't edited is written otherwise than it was read")
	}
}

func TestSkipLayersFails(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		output string
		layers int
		want   string
	}{
		"more layers than there are": {"sd/text_encoder/model.onnx", "last_hidden_state", 4, "only 3 layers"},
		"no such output":             {"sd/text_encoder/model.onnx", "hidden", 1, "no layer norm"},
		"no text encoder":            {"sd/unet/model.onnx", "out_sample", 1, "no layer norm"},
	} {
		err := parse(t, read(t, c.path)).SkipLayers(c.output, c.layers)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	small := read(f, "sd/text_encoder/model.onnx")
	f.Add(small[:4096])
	f.Add([]byte("\x08\x08:\x04Z\x02\n\x00"))
	f.Add(strange([]Port{{"ids", Int64, []int64{1, -1}}},
		node{op: "Cast", inputs: []string{"b"}, outputs: []string{"a"}}, node{op: "Identity", inputs: []string{"a"}, outputs: []string{"b"}},
		node{op: "Gather", inputs: []string{"table", "ids"}, outputs: []string{"y"}}, node{op: "ArgMax", inputs: []string{"ids"}, outputs: []string{"z"}},
		node{op: "Concat", inputs: []string{"a", "y"}, outputs: []string{"x"}}, node{op: "MatMul", name: "/x/MatMul", inputs: []string{"x", "a"}, outputs: []string{"w"}}))
	f.Add([]byte("version https://git-lfs.github.com/spec/v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		for _, p := range m.Inputs() {
			m.TimestepPerRow(p.Name)
		}
		for _, p := range m.Outputs() {
			_ = m.SkipLayers(p.Name, 1)
		}
		m.Layers()
		_ = m.AddResiduals(1)
		for _, p := range m.Inputs() {
			_, _ = m.ExtendTable(p.Name, 2, []float32{1, 2})
		}
		m.FuseAttention()
		m.Encode()
	})
}
