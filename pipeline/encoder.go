package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

const encoderFile = "vae_encoder/model.onnx"

// encoder turns pictures into latents. It is safe for concurrent use.
type encoder struct {
	lanes    *lanes
	graph    *loadedGraph
	channels int
	factor   int
	scaling  float32
	shift    float32
}

func loadEncoder(l *lanes, f *folder) (*encoder, error) {
	e := &encoder{lanes: l, channels: f.vae.LatentChannels, factor: f.vae.factor()}
	e.scaling, e.shift = f.vae.scale()
	graph, err := openGraph(l.runtime, f, encoderFile, func(m *onnx.Model) ([]Port, string, error) {
		_, output, err := only(m, 4, "latent_parameters", 4)
		if err == nil && output.Dims[1] == int64(e.channels) {
			err = errors.New("it gives out latents, not their mean and variance: export the model with a newer optimum-cli")
		}
		return []Port{output}, "", err
	})
	if err != nil {
		return nil, blame(err)
	}
	e.graph = graph
	return e, nil
}

// encode returns the latent of planes of -1 .. 1, [3 height width] in pixels: a
// sample of the normal distribution that the VAE says it has, drawn from the
// job's generator.
func (e *encoder) encode(ctx context.Context, planes []float32, height, width int, generator *noise.Generator) ([]float32, error) {
	h, w := height/e.factor, width/e.factor
	moments := make([]float32, 2*e.channels*h*w)
	call, err := e.graph.Bind(
		[]Tensor{{Name: e.graph.inputs[0].Name, Shape: []int64{1, 3, int64(height), int64(width)}, Floats: planes}},
		[]Tensor{{Name: e.graph.outputs[0].Name, Shape: []int64{1, int64(2 * e.channels), int64(h), int64(w)}, Floats: moments}})
	if err != nil {
		return nil, err
	}
	defer call.Close()
	if err := e.lanes.alone(ctx, call); err != nil {
		return nil, fmt.Errorf("encoding the picture: %w", err)
	}
	if !finite(moments) {
		return nil, job.Bad(errors.New("the picture's latent holds values that are not numbers: a half-precision VAE may have overflowed"))
	}
	latent := make([]float32, len(moments)/2)
	generator.Normal(latent)
	mean, logVariance := moments[:len(latent)], moments[len(latent):]
	for i, n := range latent {
		deviation := float32(math.Exp(float64(.5 * min(max(logVariance[i], -30), 20))))
		latent[i] = float32(mean[i]+float32(deviation*n)-e.shift) * e.scaling
	}
	return latent, nil
}

// planes are a picture's colors as a VAE takes them, [3 height width] of -1 .. 1.
func planes(picture *imaging.Bitmap) []float32 {
	size := picture.Width * picture.Height
	planes := make([]float32, 3*size)
	for i, v := range picture.Pix {
		planes[i%3*size+i/3] = 2*(float32(v)/255) - 1
	}
	return planes
}
