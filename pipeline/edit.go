package pipeline

import (
	"context"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// beginning is where a job's sampler starts from.
type beginning struct {
	latent []float32
	first  int       // evaluation
	beside []float32 // what an inpainting network takes beside the latent
	blend  *blend    // nil: the latent is left to the sampler
}

// begin draws what a job starts from, out of its generator in the order in
// which diffusers' pipelines do.
func (r *Renderer) begin(ctx context.Context, m *model, spec job.Spec, plan *sampler.Plan, from *source, generator *noise.Generator) (beginning, error) {
	latent := make([]float32, m.unet.channels*spec.Height/m.vae.factor*spec.Width/m.vae.factor)
	b := beginning{latent: latent}
	if spec.Kind == job.Upscale {
		b.beside = m.lowResolution(from.picture, *spec.NoiseLevel, generator)
	}
	if spec.Kind != job.Edit {
		generator.Normal(latent)
		scale(latent, plan.InitNoiseSigma())
		return b, nil
	}
	if !m.spreads(spec) {
		b.first = plan.Start(spec.Strength)
	}
	if b.first >= plan.Evaluations() {
		return b, job.Bad(fmt.Errorf("strength %v of %d steps leaves nothing to do", spec.Strength, spec.Steps))
	}
	encoder, err := m.vae.encoders.do(ctx, struct{}{}, func() (*encoder, error) { return loadEncoder(r.lanes, m.folder) })
	if err != nil {
		return b, err
	}
	encode := func(planes []float32) ([]float32, error) {
		return encoder.encode(ctx, planes, spec.Height, spec.Width, generator)
	}
	picture := planes(from.picture)
	// Inpainting at full strength starts from nothing but noise.
	fresh := from.mask != nil && spec.Strength == 1
	var clean []float32
	if !fresh || m.unet.beside == 0 {
		if clean, err = encode(picture); err != nil {
			return b, err
		}
	}
	noise := make([]float32, len(latent))
	generator.Normal(noise)
	if fresh {
		copy(latent, noise)
		scale(latent, plan.InitNoiseSigma())
	} else {
		plan.AddNoise(latent, clean, noise, b.first)
	}
	if from.mask == nil {
		return b, nil
	}

	marks := from.binary()
	mask := make([]float32, len(latent)/m.unet.channels)
	width := spec.Width / m.vae.factor
	for i := range mask {
		mask[i] = marks[i/width*m.vae.factor*spec.Width+i%width*m.vae.factor]
	}
	if m.unet.beside == 0 {
		// Nobody needs the latent of what the mask leaves, but diffusers draws it,
		// and samplers draw on from there.
		generator.Normal(make([]float32, len(latent)))
		b.blend = &blend{plan: plan, clean: clean, noise: noise, mask: mask, noised: make([]float32, len(latent))}
		return b, nil
	}
	for i := range picture {
		picture[i] *= 1 - marks[i%len(marks)]
	}
	left, err := encode(picture)
	b.beside = append(mask, left...)
	return b, err
}

// spreads tells whether an edit makes all of its steps, over a part of the
// schedule, as diffusers' pipeline for latent consistency models does; those that
// ControlNets lead it draws by another.
func (f *folder) spreads(spec job.Spec) bool {
	return f.model.Distilled && spec.Kind == job.Edit && spec.Sampler == "lcm" && !spec.Inpaints() && len(spec.Control) == 0
}

// blend keeps what the mask leaves of a picture in the latent of a network that
// knows nothing of masks: after each evaluation it is put back, as noisy as the
// latent is there.
type blend struct {
	plan         *sampler.Plan
	clean, noise []float32
	mask         []float32 // a channel: 1 where the latent stays
	noised       []float32
}

// apply puts back what the mask leaves when so many evaluations are done.
func (b *blend) apply(latent []float32, done int) {
	kept := b.clean
	if done < b.plan.Evaluations() {
		kept = b.noised
		b.plan.AddNoise(kept, b.clean, b.noise, done)
	}
	for i := range latent {
		if b.mask[i%len(b.mask)] == 0 {
			latent[i] = kept[i]
		}
	}
}

func scale(x []float32, factor float64) {
	for i := range x {
		x[i] *= float32(factor)
	}
}
