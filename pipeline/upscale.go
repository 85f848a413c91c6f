package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
)

// enlarge enlarges a picture by a network of the library. A scale of 0 is the
// network's own.
func (r *Renderer) enlarge(ctx context.Context, ref string, scale float64, pixels *imaging.Bitmap, picture *job.Picture, progress func(done, all int)) (*imaging.Bitmap, error) {
	models, giveBack, err := r.models.borrow(ctx, r.upscaler(ref))
	if err != nil {
		return nil, err
	}
	defer giveBack()
	u := models[0].(*upscaler)
	if scale == 0 {
		scale = float64(u.scale)
	}
	if err := job.CheckScaled(pixels.Width, pixels.Height, scale); err != nil {
		return nil, job.Bad(err)
	}
	if u.scale == 1 && scale > 1 {
		name, _ := job.Pinned(ref)
		return nil, job.Bad(fmt.Errorf("%s makes no picture larger", name))
	}
	large, made, err := u.enlarge(ctx, pixels, job.Scaled(pixels.Width, scale), job.Scaled(pixels.Height, scale), picture.MadeWith, progress)
	picture.MadeWith = made
	if err != nil {
		return nil, fmt.Errorf("enlarging the picture: %w", err)
	}
	return large, nil
}

// upscaler is the upscaler of a resolved reference, name@digest, for the shelf.
func (r *Renderer) upscaler(ref string) wanted {
	return r.network(ref, job.UpscalerModel, func(entry Entry, m job.Model) (loaded, error) {
		begin := time.Now()
		u, err := loadUpscaler(r.lanes, &folder{Entry: entry, model: m})
		if err != nil {
			return nil, err
		}
		r.library.log.Info("the upscaler is loaded", "model", m.Name, "scale", u.scale, "tile", u.first, "seconds", time.Since(begin).Seconds())
		return u, nil
	})
}

// openSmall decodes the picture that a pipeline is to enlarge, brings it to the
// size that it takes, and notes in the order how large it will be.
func (m *model) openSmall(ctx context.Context, order *job.Order) (*source, error) {
	spec := &order.Spec
	picture, err := openInput(ctx, *order, spec.Image, (*imaging.File).RGB)
	if err != nil {
		return nil, fmt.Errorf("the image: %w", err)
	}
	if err := job.CheckScaled(picture.Width, picture.Height, m.model.Scale); err != nil {
		return nil, job.Bad(err)
	}
	spec.Width, spec.Height = m.model.Enlarged(picture.Width, picture.Height)
	width, height := spec.Width/m.vae.factor, spec.Height/m.vae.factor
	if width == 0 || height == 0 {
		return nil, job.Bad(fmt.Errorf("the image has %dx%d pixels, and each side must have at least %d", picture.Width, picture.Height, m.model.Multiple/m.vae.factor))
	}
	from := &source{picture: picture.Bicubic(width, height)}
	if spec.Scale != m.model.Scale {
		from.width, from.height = job.Scaled(picture.Width, spec.Scale), job.Scaled(picture.Height, spec.Scale)
	}
	return from, nil
}

// lowResolution is what an upscaling network takes behind its sample: the picture
// with noise of the job's generator, as much of it as a level says.
func (m *model) lowResolution(picture *imaging.Bitmap, level int, generator *noise.Generator) []float32 {
	clean := planes(picture)
	noise := make([]float32, len(clean))
	generator.Normal(noise)
	m.lowRes.AddNoise(clean, clean, noise, level)
	return clean
}
