package pipeline

import (
	"context"
	"errors"
	"math"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// decoder turns latents into pictures. It is safe for concurrent use.
type decoder struct {
	lanes    *lanes
	graph    *loadedGraph
	input    string
	channels int
	factor   int
	scaling  float32
	shift    float32
}

// usualScaling is what AutoencoderKL takes where its configuration says
// nothing: Stable Diffusion 1.x's.
const usualScaling = .18215

func loadDecoder(l *lanes, f *folder) (*decoder, error) {
	d := &decoder{lanes: l, channels: f.vae.LatentChannels, factor: f.vae.factor(), scaling: usualScaling}
	if f.vae.ScalingFactor != nil {
		d.scaling = float32(*f.vae.ScalingFactor)
	}
	if f.vae.ShiftFactor != nil {
		d.shift = float32(*f.vae.ShiftFactor)
	}
	graph, err := openGraph(l.runtime, f, "vae_decoder/model.onnx", func(m *onnx.Model) (Port, string, error) {
		input, output, err := only(m, 4, "sample", 4)
		d.input = input.Name
		return output, "", err
	})
	if err != nil {
		return nil, err
	}
	d.graph = graph
	return d, nil
}

// decode returns the pixels of a latent [channels height width]: RGB, row by
// row, three bytes each. It changes the latent.
func (d *decoder) decode(ctx context.Context, latent []float32, height, width int) ([]uint8, error) {
	for i, v := range latent {
		latent[i] = float32(v/d.scaling) + d.shift
	}
	h, w := height*d.factor, width*d.factor
	planes := make([]float32, 3*h*w)
	call, err := d.graph.Bind(
		[]Tensor{{Name: d.input, Shape: []int64{1, int64(d.channels), int64(height), int64(width)}, Floats: latent}},
		[]Tensor{{Name: d.graph.output.Name, Shape: []int64{1, 3, int64(h), int64(w)}, Floats: planes}})
	if err != nil {
		return nil, err
	}
	defer call.Close()
	if err := d.lanes.alone(ctx, call); err != nil {
		return nil, err
	}
	if !finite(planes) {
		return nil, job.Bad(errors.New("the VAE's picture holds values that are not numbers: a half-precision VAE may have overflowed"))
	}
	return interleave(planes, h*w), nil
}

// interleave turns planes of -1 .. 1 into pixels of 0 .. 255, rounded to even.
func interleave(planes []float32, size int) []uint8 {
	pixels := make([]uint8, 3*size)
	for c := range 3 {
		for i, v := range planes[c*size : (c+1)*size] {
			v = min(max(v/2+.5, 0), 1)
			pixels[3*i+c] = uint8(math.RoundToEven(float64(v * 255)))
		}
	}
	return pixels
}
