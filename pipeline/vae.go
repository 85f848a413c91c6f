package pipeline

import (
	"context"
	"errors"
	"math"

	"github.com/darkroom/darkroom/pipeline/imaging"
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

// autoencoder is a model's VAE.
type autoencoder struct {
	*decoder
	encoders flights[struct{}, *encoder] // the one, loaded when an edit first asks for it
}

func loadAutoencoder(l *lanes, f *folder) (*autoencoder, error) {
	d, err := loadDecoder(l, f)
	if err != nil {
		return nil, err
	}
	return &autoencoder{decoder: d}, nil
}

func (a *autoencoder) close() {
	a.graph.Close()
	a.encoders.all(func(e *encoder) { e.graph.Close() })
}

// usualScaling is what AutoencoderKL takes where its configuration says
// nothing: Stable Diffusion 1.x's.
const usualScaling = .18215

// scale is how a UNet's latents come of the VAE's: (v - shift) scaling.
func (v vaeConfig) scale() (scaling, shift float32) {
	scaling = usualScaling
	if v.ScalingFactor != nil {
		scaling = float32(*v.ScalingFactor)
	}
	if v.ShiftFactor != nil {
		shift = float32(*v.ShiftFactor)
	}
	return scaling, shift
}

func loadDecoder(l *lanes, f *folder) (*decoder, error) {
	d := &decoder{lanes: l, channels: f.vae.LatentChannels, factor: f.vae.factor()}
	d.scaling, d.shift = f.vae.scale()
	graph, err := openGraph(l.runtime, f, "vae_decoder/model.onnx", func(m *onnx.Model) ([]Port, string, error) {
		input, output, err := only(m, 4, "sample", 4)
		d.input = input.Name
		return []Port{output}, "", err
	})
	if err != nil {
		return nil, err
	}
	d.graph = graph
	return d, nil
}

// decode returns the picture of a latent [channels height width]. It changes
// the latent.
func (d *decoder) decode(ctx context.Context, latent []float32, height, width int) (*imaging.Bitmap, error) {
	for i, v := range latent {
		latent[i] = float32(v/d.scaling) + d.shift
	}
	h, w := height*d.factor, width*d.factor
	planes := make([]float32, 3*h*w)
	call, err := d.graph.Bind(
		[]Tensor{{Name: d.input, Shape: []int64{1, int64(d.channels), int64(height), int64(width)}, Floats: latent}},
		[]Tensor{{Name: d.graph.outputs[0].Name, Shape: []int64{1, 3, int64(h), int64(w)}, Floats: planes}})
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
	picture := imaging.NewBitmap(w, h, 3)
	interleave(picture.Pix, planes)
	return picture, nil
}

// interleave turns planes of -1 .. 1 into pixels of 0 .. 255, rounded to even.
func interleave(pixels []uint8, planes []float32) {
	size := len(planes) / 3
	for c := range 3 {
		for i, v := range planes[c*size : (c+1)*size] {
			v = min(max(v/2+.5, 0), 1)
			pixels[3*i+c] = uint8(math.RoundToEven(float64(v * 255)))
		}
	}
}
