package onnx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Layer is a layer with a weight: a linear one or a convolution. Exporters write
// a linear layer as a MatMul with the weight transposed, as one with a Transpose
// before it, or as a Gemm.
type Layer struct {
	Path   string // of the module, with underscores for dots: down_blocks_0_attentions_0_proj_in
	Out    int    // outputs
	In     int    // inputs, of each group
	Kernel [2]int // of a convolution; zeros for a linear layer

	weight     string // the value that the nodes read, stored in the model, maybe as another type
	typ        Type   // of that value
	dims       []int64
	transposed bool // it is [in out]
	nodes      []node
}

// Layers are those of a model whose names tell where they come from.
type Layers struct{ byPath map[string]*Layer }

// Layers finds the model's layers. A layer's path is in its nodes' names where
// the older exporter of PyTorch wrote them, and in their metadata where the newer
// one did; else its weight may have kept its name.
func (m *Model) Layers() Layers {
	found := Layers{map[string]*Layer{}}
	produced := m.produced()
	for _, n := range m.nodes {
		if n.op != "MatMul" && n.op != "Gemm" && n.op != "Conv" || len(n.inputs) < 2 {
			continue
		}
		stored, ok := m.resolve(n.inputs[1], produced)
		layer := Layer{Path: m.modulePath(n, stored.root), weight: n.inputs[1], typ: stored.typ, dims: stored.dims, nodes: []node{n}}
		if !ok || !layer.shape(n, m) || layer.Path == "" {
			continue
		}
		if other := found.byPath[layer.Path]; other == nil {
			found.byPath[layer.Path] = &layer
		} else if other.weight == layer.weight { // a module that is called twice
			other.nodes = append(other.nodes, n)
		}
	}
	return found
}

// produced are the nodes by what they give out.
func (m *Model) produced() map[string]node {
	produced := map[string]node{}
	for _, n := range m.nodes {
		for _, output := range n.outputs {
			produced[output] = n
		}
	}
	return produced
}

// Len is how many layers there are.
func (l Layers) Len() int { return len(l.byPath) }

// Find returns the layer of a path. An export by way of a wrapper has the
// wrapper's name before all paths: the shortest path that ends so is taken.
func (l Layers) Find(path string) (Layer, bool) {
	if layer, ok := l.byPath[path]; ok {
		return *layer, true
	}
	best := ""
	for other := range l.byPath {
		if strings.HasSuffix(other, "_"+path) && (best == "" || len(other) < len(best) || len(other) == len(best) && other < best) {
			best = other
		}
	}
	if best == "" {
		return Layer{}, false
	}
	return *l.byPath[best], true
}

// shape works out a layer's sizes from its weight's.
func (l *Layer) shape(n node, m *Model) bool {
	d := l.dims
	switch {
	case n.op == "Conv" && len(d) == 4:
		l.Out, l.In, l.Kernel = int(d[0]), int(d[1]), [2]int{int(d[2]), int(d[3])}
	case n.op == "MatMul" && len(d) == 2, n.op == "Gemm" && len(d) == 2 && m.attribute(n, "transB") == 0:
		l.In, l.Out, l.transposed = int(d[0]), int(d[1]), true
	case n.op == "Gemm" && len(d) == 2:
		l.Out, l.In = int(d[0]), int(d[1])
	default:
		return false
	}
	return true
}

// stored is a value that is stored in the model.
type stored struct {
	root string // the initializer
	typ  Type
	dims []int64
}

// resolve follows a value back to the initializer that it is read from, past
// casts and transpositions.
func (m *Model) resolve(name string, produced map[string]node) (stored, bool) {
	found, turns := stored{}, 0
	for range len(m.nodes) + 1 { // more are a circle
		tensor, ok := m.weights[name]
		n, made := produced[name]
		if !ok && made && n.op == "Constant" {
			tensor, ok = m.constantTensor(n)
		}
		if ok {
			found.root, found.dims = name, m.varints(tensor, tensorDims)
			if found.typ == 0 {
				found.typ = Type(m.varint(tensor, tensorType, 0))
			}
			if turns%2 == 1 {
				slices.Reverse(found.dims)
			}
			return found, turns == 0 || len(found.dims) == 2
		}
		switch {
		case len(n.inputs) == 0:
			return stored{}, false
		case n.op == "Cast" && found.typ == 0: // the last one's counts
			found.typ = Type(m.attribute(n, "to"))
		case n.op == "Transpose":
			turns++
		case n.op != "Cast" && n.op != "Identity":
			return stored{}, false
		}
		name = n.inputs[0]
	}
	return stored{}, false
}

// separators are what stands between the parts of a module's path in the names
// of nodes.
var separators = strings.NewReplacer("/", "_", ".", "_")

// again is the number of a second node of one name.
var again = regexp.MustCompile(`_\d+$`)

// modulePath is the path of the module that a node comes from, or "".
func (m *Model) modulePath(n node, weight string) string {
	if scope := m.scope(n); scope != "" {
		return separators.Replace(scope)
	}
	name := again.ReplaceAllString(separators.Replace(n.name), "")
	if path, ok := strings.CutSuffix(name, "_"+n.op); ok && strings.HasPrefix(n.name, "/") && path != "" {
		return strings.TrimPrefix(path, "_")
	}
	if path, ok := strings.CutSuffix(weight, ".weight"); ok {
		return separators.Replace(path)
	}
	return ""
}

// scope is the innermost module in the metadata that PyTorch's newer exporter
// writes: a list of the modules around a node, as Python prints it, and the
// node's own name at its end.
func (m *Model) scope(n node) string {
	found := ""
	_ = m.fields(n.at, func(number protowire.Number, at span) error {
		if number != nodeMetadata {
			return nil
		}
		key, value, err := m.entry(at)
		if names := strings.Split(strings.Trim(value, "[]"), ", "); key == "pkg.torch.onnx.name_scopes" && len(names) > 1 {
			found = strings.Trim(names[len(names)-2], `'"`)
		}
		return err
	})
	return found
}

// String tells a layer's size.
func (l Layer) String() string {
	if l.Kernel == [2]int{} {
		return fmt.Sprintf("a linear layer of %d inputs and %d outputs", l.In, l.Out)
	}
	return fmt.Sprintf("a convolution of %dx%d, %d inputs and %d outputs", l.Kernel[0], l.Kernel[1], l.In, l.Out)
}
