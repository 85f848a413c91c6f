package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/tiling"
)

// upscaler is a super-resolution network by itself: a picture in, the same
// picture larger by a whole factor out, both [1 channels height width] of 0 .. 1.
// It is safe for concurrent use.
type upscaler struct {
	lanes *lanes
	graph *loadedGraph
	scale int
	gray  bool  // it takes and makes one channel: the brightness
	usual tiles // where memory is no matter
	first tiles // those that are tried first here
}

// loadUpscaler loads the network and finds out, by small calls, how it enlarges.
func loadUpscaler(l *lanes, f *folder) (*upscaler, error) {
	u := &upscaler{lanes: l}
	var appetite func(scale int) int64
	probe, err := openGraph(l.runtime, f, graphFile, func(m *onnx.Model) ([]Port, string, error) {
		input, output, err := picturePorts(m)
		if err != nil {
			return nil, "", err
		}
		u.gray = input.Dims[1] == 1
		appetite = func(scale int) int64 { return m.Features(input.Name, float64(scale)) }
		return []Port{m.AddShape(output)}, "-shape", nil
	})
	if err != nil {
		return nil, err
	}
	err = u.probe(probe)
	probe.Close()
	if err == nil {
		err = u.fit(appetite(u.scale))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(graphFile), err)
	}
	u.graph, err = openGraph(l.runtime, f, graphFile, func(m *onnx.Model) ([]Port, string, error) {
		_, output, err := picturePorts(m)
		return []Port{output}, "", err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (u *upscaler) close() { u.graph.Close() }

// probe finds the network's scale, and of what its pictures' sides must be
// multiples: of 2 where it shrinks them first, of 8 or 16 where it attends to
// windows. The least sides that show it are tried, from small to large.
func (u *upscaler) probe(g *loadedGraph) error {
	fixed := func(dim int) int { return int(max(0, g.inputs[0].Dims[dim])) }
	var first error
	for _, multiple := range []int{1, 2, 4, 8, 16, 32, 64} {
		height, width := fixed(2), fixed(3)
		odd := multiple
		for odd < 16 {
			odd += 2 * multiple // 17, 18, 20, 24 and then the multiple itself
		}
		if height == 0 {
			height = odd
		}
		if width == 0 {
			width = odd
		}
		shape := make([]int64, 4)
		err := u.try(g, height, width, shape)
		if err == nil {
			u.scale = int(shape[3]) / width
			if channels := shape[1]; channels != 3 && !(u.gray && channels == 1) || u.scale < 1 || shape[3] != int64(u.scale*width) || shape[2] != int64(u.scale*height) {
				err = fmt.Errorf("it makes %v of a picture of %dx%d pixels: want the same channels, and sides that are a whole multiple", shape, width, height)
			}
		}
		if err == nil {
			u.usual.across = tiling.Size{Tile: fixed(3), Multiple: multiple, Fixed: fixed(3) > 0}
			u.usual.down = tiling.Size{Tile: fixed(2), Multiple: multiple, Fixed: fixed(2) > 0}
			return nil
		}
		if first == nil {
			first = err
		}
		if fixed(2) > 0 && fixed(3) > 0 || errors.Is(err, ErrOutOfMemory) {
			break
		}
	}
	return first
}

// try asks the graph for the shape of what it makes of a gray picture.
func (u *upscaler) try(g *loadedGraph, height, width int, shape []int64) error {
	in := u.input(g, height, width, make([]float32, u.channels()*height*width))
	call, err := g.Bind([]Tensor{in}, []Tensor{{Name: g.outputs[0].Name, Shape: []int64{4}, Ints: shape}})
	if err != nil {
		return err
	}
	defer call.Close()
	for i := range in.Floats {
		in.Floats[i] = .5
	}
	return u.lanes.alone(context.Background(), call)
}

func (u *upscaler) channels() int {
	if u.gray {
		return 1
	}
	return 3
}

func (u *upscaler) input(g *loadedGraph, height, width int, planes []float32) Tensor {
	return Tensor{Name: g.inputs[0].Name, Shape: []int64{1, int64(u.channels()), int64(height), int64(width)}, Floats: planes}
}
