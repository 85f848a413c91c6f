package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/onnx"
)

// residual is what a ControlNet gives out for one of a UNet's skip connections,
// or for its middle block, and what the UNet takes there (Zhang et al., arXiv
// 2302.05543).
type residual struct {
	name     string // of the graph's input or output
	channels int
	factor   int  // how many of the latent's values one of its own is wide
	pooled   bool // one value for all places
}

// size is how many numbers it has for a latent of a size.
func (r residual) size(height, width int) int { return int(size(r.dims(height, width))) }

func (r residual) dims(height, width int) []int64 {
	if r.pooled {
		return []int64{int64(r.channels), 1, 1}
	}
	return []int64{int64(r.channels), int64(height / r.factor), int64(width / r.factor)}
}

// levels are what a UNet's configuration says of its way down, which a
// ControlNet's repeats.
type levels struct {
	Widths []int `json:"block_out_channels"`
	Layers any   `json:"layers_per_block"` // a number, or one for each level
}

// What a configuration may say; known networks have four levels of two or three
// layers, and vectors of up to 2,816 numbers.
const (
	mostLevels = 16
	mostLayers = 64
	mostWidth  = 1 << 16
)

// check refuses numbers that no network has.
func (l levels) check() error {
	if err := checkWidths("block_out_channels", l.Widths); err != nil {
		return err
	}
	list, several := l.Layers.([]any)
	if !several && l.Layers != nil {
		list = []any{l.Layers}
	}
	for _, n := range list {
		if count, ok := n.(float64); !ok || count != math.Trunc(count) || count < 1 || count > mostLayers {
			return fmt.Errorf("layers_per_block is %v, want a whole number from 1 to %d, or one for each level", l.Layers, mostLayers)
		}
	}
	return nil
}

// checkWidths refuses widths that the levels of no network have.
func checkWidths(name string, widths []int) error {
	if len(widths) > mostLevels || slices.ContainsFunc(widths, func(n int) bool { return n < 1 || n > mostWidth }) {
		return fmt.Errorf("%s is %v, want a number from 1 to %d for each of up to %d levels", name, widths, mostWidth, mostLevels)
	}
	return nil
}

// residuals lists the skip connections in the order in which the way down makes
// them, and the middle block.
func (l levels) residuals() []residual {
	factor := 1
	list := []residual{{channels: l.Widths[0], factor: factor}}
	for i, width := range l.Widths {
		for range l.layers(i) {
			list = append(list, residual{channels: width, factor: factor})
		}
		if i < len(l.Widths)-1 {
			factor *= 2
			list = append(list, residual{channels: width, factor: factor})
		}
	}
	return append(list, residual{channels: l.Widths[len(l.Widths)-1], factor: factor})
}

// layers is how many layers the i-th level has: 2 where nothing is said.
func (l levels) layers(i int) int {
	n := l.Layers
	if list, ok := n.([]any); ok && i < len(list) {
		n = list[i]
	}
	if count, ok := n.(float64); ok {
		return int(count)
	}
	return 2
}

// named gives residuals the names of a graph's ports, by their order; the middle
// block's is the one that says so, or the last. It fails where the graph's ports
// are others.
func named(list []residual, ports []Port) ([]residual, error) {
	ports = slices.Clone(ports)
	if i := slices.IndexFunc(ports, func(p Port) bool { return strings.Contains(p.Name, "mid") }); i >= 0 {
		ports = append(slices.Delete(slices.Clone(ports), i, i+1), ports[i])
	}
	if len(ports) != len(list) {
		return nil, fmt.Errorf("it has %d residuals, and its configuration makes %d of them", len(ports), len(list))
	}
	list = slices.Clone(list)
	for i, port := range ports {
		if err := checkRank(port, 4); err != nil {
			return nil, err
		}
		if n := port.Dims[1]; n > 0 && int(n) != list[i].channels {
			return nil, fmt.Errorf("port %q has %d channels, and its configuration makes %d of them", port.Name, n, list[i].channels)
		}
		list[i].name = port.Name
	}
	return list, nil
}

// loadLed loads a model's UNet once more, in a graph with inputs for residuals.
func loadLed(l *lanes, f *folder) (*unet, error) {
	return loadUNetOf(l, f, func(m *onnx.Model) error {
		return m.AddResiduals(len(f.unet.residuals()) - 1)
	})
}

// like tells whether the network does what another of the same weights does that
// takes no residuals, bit by bit: for rows without residuals, whatever the other
// rows of their call have. Then rows of both may share calls of this one.
func (u *unet) like(ctx context.Context, other *unet, f *folder) (bool, error) {
	return u.likes.do(ctx, other, func() (bool, error) {
		if u.most != other.most {
			return false, nil
		}
		rows := other.strangers(f)
		if _, err := other.predict(context.Background(), rows[:1]); err != nil {
			return false, err
		}
		want := slices.Clone(rows[0].row.Out)
		led := u.strangers(f)
		led[0].row.Residuals = nil
		for _, n := range []int{1, min(2, u.most), u.most} {
			clear(led[0].row.Out)
			if _, err := u.predict(context.Background(), append(slices.Clone(led[1:n]), led[0])); err != nil {
				return false, err
			}
			if !sameBits(led[0].row.Out, want) {
				return false, nil
			}
		}
		return true, nil
	})
}

// reserve makes room for the residuals of a row.
func reserve(list []residual, height, width int) [][]float32 {
	all := make([][]float32, len(list))
	for i, r := range list {
		r.pooled = false
		all[i] = make([]float32, r.size(height, width))
	}
	return all
}

// forget makes residuals nothing.
func forget(all [][]float32) {
	for _, r := range all {
		clear(r)
	}
}
