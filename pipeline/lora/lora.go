// Package lora reads low-rank adaptations (Hu et al., arXiv 2106.09685) from
// safetensors files: for a layer's weight W, two matrices down and up that make
// it W + scale up down. It knows the keys of kohya's scripts and of diffusers
// and PEFT, and turns them into one spelling: the layer's path in diffusers'
// model, with underscores for dots.
package lora

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// Part is the network that a layer is in.
type Part string

const (
	UNet         Part = "unet"
	TextEncoder  Part = "text_encoder"
	TextEncoder2 Part = "text_encoder_2"
)

// Layer is what a file adds to one layer.
type Layer struct {
	Part Part
	Path string // such as down_blocks_0_attentions_0_proj_in; of SDXL's UNet maybe as [DiffusersPath] takes it
	Key  string // as the file has it, for errors

	Rank   int
	Alpha  float64   // the product is multiplied by Alpha / Rank
	Down   []float32 // [Rank In], of a convolution [Rank In kernel kernel]
	Up     []float32 // [Out Rank]
	In     int       // inputs: channels of a convolution
	Out    int       // outputs
	Kernel [2]int    // of a convolution's down; zeros for a linear layer
}

// Read returns a file's layers of a part, ordered by path.
func Read(f *safetensors.File, part Part) ([]Layer, error) {
	layers, err := read(f, part)
	return slices.DeleteFunc(layers, func(l Layer) bool { return l.Part != part }), err
}

// Outline returns a file's layers, ordered by part and path, without the numbers
// of Down and Up, which are nil: it reads little more than the header.
func Outline(f *safetensors.File) ([]Layer, error) { return read(f, "") }

// read returns all layers, one part's with their numbers.
func read(f *safetensors.File, part Part) ([]Layer, error) {
	settings, err := readSettings(f)
	if err != nil {
		return nil, err
	}
	pairs := map[place]*pair{}
	for _, t := range f.Tensors {
		at, role, err := split(t.Name)
		if err != nil {
			return nil, err
		}
		p := pairs[at]
		if p == nil {
			p = &pair{}
			pairs[at] = p
		}
		if p[role] != nil {
			return nil, fmt.Errorf("%q and %q are the same", p[role].Name, t.Name)
		}
		p[role] = &t
	}
	layers := make([]Layer, 0, len(pairs))
	for at, p := range pairs {
		layer, err := p.layer(f, at, at.part == part)
		if err != nil {
			return nil, err
		}
		if p[alphaRole] == nil {
			_, module, _, _ := cut(layer.Key)
			layer.Alpha = settings[at.part].alpha(module, layer.Rank, layer.Alpha)
		}
		layers = append(layers, layer)
	}
	slices.SortFunc(layers, func(a, b Layer) int { return cmp.Or(cmp.Compare(a.Part, b.Part), strings.Compare(a.Path, b.Path)) })
	return layers, nil
}

// place is where a layer stands.
type place struct {
	part Part
	path string
}

// pair are the tensors of a layer, by role.
type pair [3]*safetensors.Tensor

func (p *pair) layer(f *safetensors.File, at place, numbers bool) (Layer, error) {
	down, up := p[downRole], p[upRole]
	if down == nil || up == nil {
		have := cmp.Or(down, up, p[alphaRole])
		return Layer{}, fmt.Errorf("%q has no counterpart: a layer takes a down and an up", have.Name)
	}
	l := Layer{Part: at.part, Path: at.path, Key: down.Name}
	d, u := down.Shape, up.Shape
	switch {
	case len(d) == 2 && len(u) == 2:
	case len(d) == 4 && len(u) == 4 && u[2] == 1 && u[3] == 1:
		l.Kernel = [2]int{int(d[2]), int(d[3])}
	default:
		return Layer{}, fmt.Errorf("%q and %q have the shapes %v and %v, want those of two linear layers, or of a convolution and one of 1x1", down.Name, up.Name, d, u)
	}
	if d[0] != u[1] || down.Size() == 0 || up.Size() == 0 {
		return Layer{}, fmt.Errorf("%q and %q have the shapes %v and %v, and no rank in common", down.Name, up.Name, d, u)
	}
	l.Rank, l.In, l.Out = int(d[0]), int(d[1]), int(u[0])
	l.Alpha = float64(l.Rank)
	var err error
	if numbers {
		if l.Down, err = f.Floats(*down); err != nil {
			return Layer{}, err
		}
		if l.Up, err = f.Floats(*up); err != nil {
			return Layer{}, err
		}
	}
	if t := p[alphaRole]; t != nil {
		if t.Size() != 1 {
			return Layer{}, fmt.Errorf("%q has the shape %v, want one number", t.Name, t.Shape)
		}
		alpha, err := f.Floats(*t)
		if err != nil {
			return Layer{}, err
		}
		l.Alpha = float64(alpha[0])
	}
	return l, nil
}
