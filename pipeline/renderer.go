package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/darkroom/darkroom/pipeline/engine"
	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// Renderer renders jobs. It is safe for concurrent use: renders under way share
// the device's calls, and [Device.Jobs] of them fill it. Models are loaded when
// a job first asks for them and stay.
type Renderer struct {
	lanes    *lanes
	library  *Library
	madeWith job.MadeWith
	models   flights[string, *model] // by digest
}

// New returns a renderer. version is darkroom's own, for pictures and records.
func New(runtime Runtime, library *Library, version string) *Renderer {
	madeWith := runtime.MadeWith()
	madeWith.Darkroom = version
	return &Renderer{lanes: newLanes(runtime), library: library, madeWith: madeWith}
}

// MadeWith says what a picture's bits depend on beside its job.
func (r *Renderer) MadeWith() job.MadeWith { return r.madeWith }

// Close frees the models. No render may be under way.
func (r *Renderer) Close() {
	r.lanes.close()
	r.models.all(func(m *model) { m.close() })
}

// Stats says how full the device was since New.
func (r *Renderer) Stats() engine.Stats { return r.lanes.engine.Stats() }

// Render draws the picture of a resolved job. After every evaluation of the
// network it calls progress, unless that is nil, with how many of all are done.
// A cancelled ctx ends it within a step, with the context's cause. Errors that
// another attempt won't mend are marked with [job.Bad]; a model that isn't in
// the library is [ErrNoModel].
func (r *Renderer) Render(ctx context.Context, spec job.Spec, progress func(done, all int)) (job.Picture, error) {
	if spec.Kind != job.Generate {
		return job.Picture{}, job.Bad(fmt.Errorf("kind %q is not built yet", spec.Kind))
	}
	picture, err := r.generate(ctx, spec, progress)
	if err != nil && errors.Is(err, ErrOutOfMemory) {
		err = &job.Failure{Class: job.OutOfMemory, Err: err}
	}
	return picture, err
}

// generate is text to image.
func (r *Renderer) generate(ctx context.Context, spec job.Spec, progress func(done, all int)) (job.Picture, error) {
	m, err := r.model(ctx, spec.Model)
	if err != nil {
		return job.Picture{}, err
	}
	watch := newStopwatch()

	text, negative, err := r.texts(ctx, m, spec)
	if err != nil {
		return job.Picture{}, fmt.Errorf("encoding the prompt: %w", err)
	}
	watch.lap("text")

	latent, err := r.denoise(ctx, m, spec, text, negative, progress)
	if err != nil {
		return job.Picture{}, err
	}
	watch.lap("denoise")

	picture := job.Picture{
		Width: spec.Width, Height: spec.Height,
		Models: map[string]string{m.Name: m.model.Digest}, MadeWith: r.madeWith, Timing: watch.laps,
	}
	height, width := spec.Height/m.vae.factor, spec.Width/m.vae.factor
	if spec.Format == "npy" {
		picture.Ext = "npy"
		picture.Data = imaging.NPY(latent, 1, m.unet.channels, height, width)
		return picture, nil
	}
	pixels, err := m.vae.decode(ctx, latent, height, width)
	if err != nil {
		return job.Picture{}, fmt.Errorf("decoding the latent: %w", err)
	}
	watch.lap("decode")

	about := imaging.About{Job: spec, Model: m.Name, Digest: m.model.Digest, MadeWith: r.madeWith}
	if spec.Format == "jpeg" {
		picture.Ext = "jpg"
		picture.Data, err = imaging.JPEG(pixels, spec.Width, spec.Height, about)
	} else {
		picture.Ext = "png"
		picture.Data, err = imaging.PNG(pixels, spec.Width, spec.Height, about)
	}
	watch.lap("encode")
	return picture, err
}

// model returns the model of a resolved reference, name@digest, loaded.
func (r *Renderer) model(ctx context.Context, ref string) (*model, error) {
	_, digest, _ := strings.Cut(ref, "@")
	return r.models.do(ctx, digest, func() (*model, error) {
		f, err := r.library.find(ref)
		if err != nil {
			return nil, blame(err)
		}
		if len(f.unused) > 0 {
			r.library.log.Info("parts of the model are not used", "model", f.Name, "parts", strings.Join(f.unused, ", "))
		}
		return loadModel(r.lanes, f, r.library.log)
	})
}

// texts returns the embeddings of the prompt and of the negative prompt, which
// is nil where nothing is guided.
func (r *Renderer) texts(ctx context.Context, m *model, spec job.Spec) (text, negative []float32, err error) {
	if text, err = m.text.encode(ctx, spec.Prompt, spec.ClipSkip); err != nil {
		return nil, nil, err
	}
	if spec.Guided() && !m.model.Distilled {
		prompt := ""
		if spec.NegativePrompt != nil {
			prompt = *spec.NegativePrompt
		}
		// As in diffusers, layers are skipped for the prompt only.
		negative, err = m.text.encode(ctx, prompt, 0)
	}
	return text, negative, err
}

// denoise turns the noise of the job's seed into a latent, [channels height width].
func (r *Renderer) denoise(ctx context.Context, m *model, spec job.Spec, text, negative []float32, progress func(done, all int)) ([]float32, error) {
	plan, err := sampler.New(spec.Sampler, spec.Schedule, m.scheduler, sampler.Options{Steps: spec.Steps, Eta: spec.Eta, Seed: spec.Seed})
	if err != nil {
		return nil, job.Bad(err)
	}
	row := Row{Height: spec.Height / m.vae.factor, Width: spec.Width / m.vae.factor, Text: text, Tokens: m.text.tokens()}
	if m.model.Distilled {
		row.Guidance = guidanceEmbedding(spec.GuidanceScale, *m.folder.unet.TimeCondDim)
	}
	generator := noise.New(spec.Seed)
	latent := make([]float32, m.unet.channels*row.Height*row.Width)
	generator.Normal(latent)
	for i, sigma := 0, float32(plan.InitNoiseSigma()); i < len(latent); i++ {
		latent[i] *= sigma
	}
	state := plan.Begin(latent, 0, generator)
	place, err := r.lanes.join(m.unet, row)
	if err != nil {
		return nil, err
	}
	defer place.Leave()
	denoiser := newGuided(place, spec, state, plan.Evaluations(), row, negative)
	var after func(int) error
	if progress != nil {
		after = func(done int) error {
			progress(done, plan.Evaluations())
			return nil
		}
	}
	if err := plan.Run(ctx, state, denoiser, after); err != nil {
		return nil, err
	}
	if !finite(state.X) {
		return nil, job.Bad(errors.New("the latent holds values that are not numbers"))
	}
	return state.X, nil
}

// stopwatch takes the seconds of a render's stages.
type stopwatch struct {
	laps map[string]float64
	last time.Time
}

func newStopwatch() *stopwatch { return &stopwatch{map[string]float64{}, time.Now()} }

func (s *stopwatch) lap(stage string) {
	now := time.Now()
	s.laps[stage], s.last = now.Sub(s.last).Seconds(), now
}
