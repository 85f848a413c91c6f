package onnx

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/darkroom/darkroom/pipeline/half"
)

// FuseAttention has ONNX Runtime's MultiHeadAttention (domain com.microsoft) do
// what nodes do that work out softmax(QKᵀ/√d)V, and returns in how many places.
// They hold all scores at once, which grow with the fourth power of a picture's
// side: 0.5 GB a row for Stable Diffusion's UNet at 512 px. The fused operator
// holds a block of them (Dao et al., arXiv 2205.14135).
//
// It goes by the nodes that PyTorch's exporters, the older and the newer, make of
// its scaled_dot_product_attention without a mask. What doesn't look exactly like
// these stays as it is.
func (m *Model) FuseAttention() int {
	if slices.ContainsFunc(m.nodes, func(n node) bool { return slices.Contains([]string{"If", "Loop", "Scan", "SequenceMap"}, n.op) }) {
		return 0 // what graphs within nodes read isn't known here
	}
	w := m.wiring()
	reads := map[int][]string{} // by node, what it reads from now on
	for _, n := range m.nodes {
		if n.op != "Softmax" {
			continue
		}
		if a, ok := w.attention(n); ok {
			m.replace(a.last.at, a.encode())
			reads[a.last.at.from] = []string{a.q, a.k, a.v}
		}
	}
	if len(reads) > 0 {
		w.removeUnread(reads)
	}
	return len(reads)
}

// attention is a place where nodes work it out, from q, k and v, each [rows
// tokens heads·d], until the last node gives out the same shape.
type attention struct {
	q, k, v string
	heads   int64
	last    node
}

// encode writes the operator that does the same. Its scale is 1/√d by itself.
func (a attention) encode() []byte {
	n := node{op: "MultiHeadAttention", name: a.last.name, inputs: []string{a.q, a.k, a.v}, outputs: a.last.outputs}
	b := appendText(n.encode(), nodeDomain, "com.microsoft")
	return appendBytes(b, nodeAttribute, intAttribute("num_heads", a.heads))
}

// wiring tells who makes and who reads a graph's values.
type wiring struct {
	*Model
	makers  map[string]node
	readers map[string][]node
}

func (m *Model) wiring() wiring {
	w := wiring{m, m.produced(), map[string][]node{}}
	for _, n := range m.nodes {
		for _, input := range n.inputs {
			w.readers[input] = append(w.readers[input], n)
		}
	}
	return w
}

// attention looks at what is around a softmax:
//
//	q, k, v: Reshape to [rows tokens heads d], Transpose to [rows heads tokens d], of k to [rows heads d tokens], maybe by way of the former
//	q and k: Mul by √(1/√d)
//	MatMul of q and k, Softmax, MatMul with v, Transpose back, Reshape back
func (w wiring) attention(softmax node) (a attention, ok bool) {
	axis := w.attribute(softmax, "axis")
	scores, weighted := w.maker(softmax, 0, "MatMul"), w.reader(softmax, "MatMul")
	if axis != -1 && axis != 3 || len(scores.inputs) != 2 || len(weighted.inputs) != 2 || weighted.inputs[0] != softmax.outputs[0] {
		return a, false
	}
	q, k := w.maker(scores, 0, "Mul"), w.maker(scores, 1, "Mul")
	byHead := w.maker(q, 0, "Transpose")
	if !w.rootScale(q, byHead) || !w.rootScale(k, byHead) {
		return a, false
	}
	var heads [3]int64
	a.q, heads[0] = w.heads(byHead, 0, 2, 1, 3)
	if before := w.swapped(w.maker(k, 0, "Reshape")); before.op != "" {
		a.k, heads[1] = w.heads(before, 0, 2, 1, 3)
	} else {
		a.k, heads[1] = w.heads(w.maker(k, 0, "Transpose"), 0, 2, 3, 1)
	}
	a.v, heads[2] = w.heads(w.maker(weighted, 1, "Transpose"), 0, 2, 1, 3)
	back := w.reader(weighted, "Transpose")
	a.last = w.reader(back, "Reshape")
	a.heads = heads[0]
	ok = a.heads > 0 && heads[1] == a.heads && heads[2] == a.heads && w.permutes(back, 0, 2, 1, 3) && len(w.shape(a.last)) == 3
	return a, ok
}

// maker is the node that makes a node's input, if it is of the kind op.
func (w wiring) maker(n node, input int, op string) node {
	if input < len(n.inputs) {
		if found := w.makers[n.inputs[input]]; found.op == op && len(found.inputs) > 0 {
			return found
		}
	}
	return node{}
}

// reader is the only node that reads a node's only output, if it is of the kind
// op.
func (w wiring) reader(n node, op string) node {
	if len(n.outputs) != 1 || w.givesOut(n) {
		return node{}
	}
	if readers := w.readers[n.outputs[0]]; len(readers) == 1 && readers[0].op == op && len(readers[0].outputs) == 1 {
		return readers[0]
	}
	return node{}
}

func (w wiring) givesOut(n node) bool {
	return slices.ContainsFunc(w.outputs, func(v value) bool { return slices.Contains(n.outputs, v.Name) })
}

// heads goes back from a Transpose of that order to what was split into heads,
// and tells into how many; 0 if that isn't what was done.
func (w wiring) heads(transpose node, order ...int64) (whole string, heads int64) {
	reshape := w.maker(transpose, 0, "Reshape")
	shape := w.shape(reshape)
	if !w.permutes(transpose, order...) || len(shape) != 4 {
		return "", 0
	}
	return reshape.inputs[0], max(shape[2], 0)
}

func (w wiring) permutes(n node, order ...int64) bool {
	at, ok := w.attributeField(n, "perm")
	return ok && n.op == "Transpose" && slices.Equal(w.varints(at, attributeInts), order)
}

// open is a dimension that is only known in a call.
const open = math.MinInt64

// shape is what a Reshape makes, -1 and open for what depends on the call.
func (w wiring) shape(reshape node) []int64 {
	if reshape.op != "Reshape" || len(reshape.inputs) != 2 {
		return nil
	}
	if dims := w.integers(reshape.inputs[1]); dims != nil {
		return dims
	}
	var dims []int64
	for _, input := range w.maker(reshape, 1, "Concat").inputs {
		if one := w.integers(input); len(one) == 1 {
			dims = append(dims, one[0])
		} else {
			dims = append(dims, open)
		}
	}
	return dims
}

// integers returns the whole numbers of an initializer, or of a Constant node,
// that stands in the graph itself.
func (w wiring) integers(name string) (values []int64) {
	tensor, ok := w.known(name, w.makers[name])
	if !ok || Type(w.varint(tensor, tensorType, 0)) != Int64 {
		return nil
	}
	values = w.varints(tensor, tensorInts)
	_ = w.fields(tensor, func(number protowire.Number, at span) error {
		if number == tensorRaw {
			for raw := w.data[at.from:at.to]; len(raw) >= 8; raw = raw[8:] {
				values = append(values, int64(binary.LittleEndian.Uint64(raw)))
			}
		}
		return nil
	})
	return values
}

// swapped is the Transpose whose last two dimensions nodes of the newer exporter
// swap, in three steps since it doesn't ask how many there are before them: a
// Reshape of these to one, a Transpose, and a Reshape back.
func (w wiring) swapped(back node) node {
	swap := w.maker(back, 0, "Transpose")
	flat := w.maker(swap, 0, "Reshape")
	of := w.maker(flat, 0, "Transpose")
	to, from := w.maker(flat, 1, "Concat").inputs, w.maker(back, 1, "Concat").inputs
	if !w.permutes(swap, 0, 2, 1) || len(to) != 3 || len(from) != 3 || !slices.Equal(w.integers(to[0]), []int64{-1}) {
		return node{}
	}
	tokens := w.part(to[1], of, -2, -1) && w.part(from[2], of, -2, -1)
	width := w.part(to[2], of, -1, math.MaxInt64) && w.part(from[1], of, -1, math.MaxInt64)
	if !tokens || !width || !w.part(from[0], of, math.MinInt64, -2) {
		return node{}
	}
	return of
}

// part tells whether a value is a Slice of the shape of what a node gives out, from
// one dimension to another.
func (w wiring) part(name string, of node, from, to int64) bool {
	n := w.makers[name]
	return n.op == "Slice" && len(n.inputs) > 2 && w.readsShape(n, of) &&
		slices.Equal(w.integers(n.inputs[1]), []int64{from}) && slices.Equal(w.integers(n.inputs[2]), []int64{to})
}

// readsShape tells whether a node reads the shape of what another gives out.
func (w wiring) readsShape(n, of node) bool {
	shape := w.maker(n, 0, "Shape")
	return shape.op != "" && slices.Equal(shape.inputs, of.outputs)
}

// rootScale tells whether a Mul is by √(1/√d), d being the last dimension of what
// byHead gives out: by that number, or by what the graph works out.
func (w wiring) rootScale(mul, byHead node) bool {
	if len(mul.inputs) != 2 {
		return false
	}
	if scale, ok := w.number(mul.inputs[1]); ok {
		const rounding = 1e-3 // of a half, twice
		shape := w.shape(w.maker(byHead, 0, "Reshape"))
		return len(shape) == 4 && shape[3] > 0 && math.Abs(scale*math.Pow(float64(shape[3]), .25)-1) < rounding
	}
	scale := w.past(w.maker(mul, 1, "Sqrt"), 0)
	if scale.op != "Div" || len(scale.inputs) != 2 {
		return false
	}
	if one, ok := w.number(scale.inputs[0]); !ok || one != 1 {
		return false
	}
	root := w.past(scale, 1)
	width := w.past(root, 0)
	if root.op != "Sqrt" || len(width.inputs) < 2 {
		return false
	}
	if at := w.integers(width.inputs[1]); width.op == "Gather" {
		return w.readsShape(width, byHead) && (slices.Equal(at, []int64{-1}) || slices.Equal(at, []int64{3}))
	}
	return w.part(width.outputs[0], byHead, -1, math.MaxInt64)
}

// past is the node that makes a node's input, before it is cast.
func (w wiring) past(n node, input int) node {
	for range w.nodes {
		if input >= len(n.inputs) {
			break
		}
		if n = w.makers[n.inputs[input]]; n.op != "Cast" {
			return n
		}
		input = 0
	}
	return node{}
}

// number returns the floating-point number, single or half, that a value is which
// stands in the graph itself.
func (w wiring) number(name string) (value float64, ok bool) {
	tensor, ok := w.known(name, w.makers[name])
	if !ok {
		return 0, false
	}
	var raw []byte
	_ = w.fields(tensor, func(number protowire.Number, at span) error {
		if number == tensorRaw || number == tensorFloats {
			raw = w.data[at.from:at.to]
		}
		return nil
	})
	switch typ := Type(w.varint(tensor, tensorType, 0)); {
	case typ == Float32 && len(raw) == 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), true
	case typ == Float16 && len(raw) == 2:
		return float64(half.Float(binary.LittleEndian.Uint16(raw))), true
	}
	return 0, false
}

// removeUnread takes away the nodes whose values nobody reads any more, where
// some nodes read other values from now on.
func (w wiring) removeUnread(reads map[int][]string) {
	before, now := w.used(nil), w.used(reads)
	for _, n := range w.nodes {
		if before[n.at.from] && !now[n.at.from] {
			w.remove(n)
		}
	}
}

// used tells of which nodes something is read, by way of others, by the graph's
// outputs. Some nodes may read other values than they do.
func (w wiring) used(reads map[int][]string) map[int]bool {
	var wanted []string
	for _, output := range w.outputs {
		wanted = append(wanted, output.Name)
	}
	used := map[int]bool{}
	for len(wanted) > 0 {
		n, ok := w.makers[wanted[len(wanted)-1]]
		wanted = wanted[:len(wanted)-1]
		if !ok || used[n.at.from] {
			continue
		}
		used[n.at.from] = true
		if instead, ok := reads[n.at.from]; ok {
			wanted = append(wanted, instead...)
		} else {
			wanted = append(wanted, n.inputs...)
		}
	}
	return used
}
