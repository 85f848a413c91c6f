package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/darkroom/darkroom/pipeline/engine"
	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// Renderer renders jobs. It is safe for concurrent use: renders under way share
// the device's calls, and [Device.Jobs] of them fill it. Models are loaded when
// a job first asks for them, and stay as long as [Device.Memory] has room.
type Renderer struct {
	lanes    *lanes
	library  *Library
	madeWith job.MadeWith
	models   *shelf
	taught   flights[string, job.Model] // what is known of LoRAs and embeddings, by reference
}

// maxLessons is how many LoRAs and embeddings a renderer remembers the headers of.
const maxLessons = 256

// New returns a renderer. version is darkroom's own, for pictures and records.
func New(runtime Runtime, library *Library, version string) *Renderer {
	madeWith := runtime.MadeWith()
	madeWith.Darkroom = version
	return &Renderer{
		lanes: newLanes(runtime), library: library, madeWith: madeWith,
		models: newShelf(runtime.Device().Memory, library.log),
		taught: flights[string, job.Model]{limit: maxLessons},
	}
}

// MadeWith says what a picture's bits depend on beside its job.
func (r *Renderer) MadeWith() job.MadeWith { return r.madeWith }

// Close frees the models. No render may be under way.
func (r *Renderer) Close() {
	r.lanes.close()
	r.models.close()
}

// Stats says how full the device was since New.
func (r *Renderer) Stats() engine.Stats { return r.lanes.engine.Stats() }

// Loaded tells how many models are loaded, the bytes of their graphs, and how
// many such bytes may be; 0 for no bound.
func (r *Renderer) Loaded() (models int, bytes, budget int64) {
	models, bytes = r.models.loaded()
	return models, bytes, r.models.budget
}

// Render draws the picture of a resolved job. After every evaluation of the
// network, and after every tile of an upscale, it calls progress, unless that is
// nil, with how many of all are done; an upscale that follows adds its own.
// A cancelled ctx ends it within a step, with the context's cause. Errors that
// another attempt won't mend are marked with [job.Bad]; a model that isn't in
// the library is [ErrNoModel], of the class [job.NoModel]. Where the cause is
// [job.ErrPreempted], the error is a [job.Preempted], whose checkpoint leads to
// the same bits.
func (r *Renderer) Render(ctx context.Context, order job.Order, progress func(done, all int)) (job.Picture, error) {
	if k := order.Spec.Kind; k != job.Generate && k != job.Edit && k != job.Upscale {
		return job.Picture{}, job.Bad(fmt.Errorf("kind %q is not built yet", k))
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	picture, err := r.draw(ctx, order, progress)
	switch {
	case err == nil:
	case errors.Is(err, ErrOutOfMemory):
		err = &job.Failure{Class: job.OutOfMemory, Err: err}
	case errors.Is(err, ErrNoModel):
		err = &job.Failure{Class: job.NoModel, Err: err}
	}
	return picture, err
}

// draw makes a picture: by a sampler, by an upscaler, or by one after the other.
func (r *Renderer) draw(ctx context.Context, order job.Order, progress func(done, all int)) (job.Picture, error) {
	spec, watch := order.Spec, newStopwatch()
	picture := job.Picture{Models: spec.Models(), MadeWith: r.madeWith, Timing: watch.laps}
	painted := 0
	var from painting
	var err error
	if spec.Sampled() {
		from, err = r.paint(ctx, order, &picture, watch, func(done, all int) {
			painted = all
			progress(done, all)
		})
	} else {
		if from.pixels, err = openInput(ctx, order, spec.Image, (*imaging.File).RGB); err != nil {
			err = fmt.Errorf("the image: %w", err)
		}
		watch.lap("open")
	}
	pixels := from.pixels
	if err != nil || pixels == nil {
		return picture, err
	}
	if ref, scale := spec.Enlarges(); ref != "" {
		pixels, err = r.enlarge(ctx, ref, scale, pixels, &picture, func(done, all int) { progress(painted+done, painted+all) })
		if errors.Is(err, job.ErrPreempted) && from.kept != nil {
			err = from.kept
		}
		if err != nil {
			return job.Picture{}, err
		}
		watch.lap("upscale")
	}
	picture.Width, picture.Height = pixels.Width, pixels.Height

	name, digest := job.Pinned(spec.Model)
	about := imaging.About{Job: spec, Model: name, Digest: digest, MadeWith: picture.MadeWith}
	if spec.Format == "jpeg" {
		picture.Ext = "jpg"
		picture.Data, err = imaging.JPEG(pixels, about)
	} else {
		picture.Ext = "png"
		picture.Data, err = imaging.PNG(pixels, about)
	}
	watch.lap("encode")
	return picture, err
}

// painting is what comes of a sampler.
type painting struct {
	pixels *imaging.Bitmap // nil where the latent is all that was asked for
	kept   *job.Preempted  // where to go on from, if an upscale follows
}

// paint makes a picture from text, or from text and a picture. Of a job that
// wants the latent it fills in the picture's file instead.
func (r *Renderer) paint(ctx context.Context, order job.Order, picture *job.Picture, watch *stopwatch, progress func(done, all int)) (p painting, err error) {
	wants, err := r.pipeline(order.Spec)
	if err != nil {
		return p, err
	}
	leading, err := r.leading(order.Spec)
	if err != nil {
		return p, err
	}
	lent, giveBack, err := r.models.borrow(ctx, append(wants, leading...)...)
	if err != nil {
		return p, err
	}
	defer giveBack()
	m := newModel(lent[:modelParts])
	picture.MadeWith = m.unet.madeWith(r.madeWith)

	var from *source
	switch order.Spec.Kind {
	case job.Edit:
		from, err = openSource(ctx, order)
	case job.Upscale:
		from, err = m.openSmall(ctx, &order)
	}
	if err != nil {
		return p, err
	}
	spec := order.Spec
	by, err := r.leaders(ctx, m, lent[modelParts:], order, from)
	if err != nil {
		return p, err
	}
	if by != nil {
		picture.MadeWith = by.madeWith(picture.MadeWith)
	}
	if from != nil || by != nil {
		watch.lap("open")
	}
	prompted, negative, err := r.texts(ctx, m, spec)
	if err != nil {
		return p, fmt.Errorf("encoding the prompt: %w", err)
	}
	watch.lap("text")

	state, err := r.denoise(ctx, m, by, order, from, picture.MadeWith, prompted, negative, progress)
	if err != nil {
		return p, err
	}
	latent := state.X
	watch.lap("denoise")

	height, width := spec.Height/m.vae.factor, spec.Width/m.vae.factor
	if spec.Format == "npy" {
		picture.Ext, picture.Width, picture.Height = "npy", spec.Width, spec.Height
		picture.Data = imaging.NPY(latent, 1, m.unet.channels, height, width)
		return p, nil
	}
	if spec.Upscale != nil {
		errors.As(preempted(job.ErrPreempted, picture.MadeWith, state), &p.kept)
	}
	if p.pixels, err = m.vae.decode(ctx, latent, height, width); err != nil {
		return p, fmt.Errorf("decoding the latent: %w", err)
	}
	if from != nil {
		p.pixels = from.finish(p.pixels, spec)
	}
	watch.lap("decode")
	return p, nil
}

// texts returns the texts of the prompt and of the negative prompt, which is
// empty where nothing is guided. Both have as many tokens.
func (r *Renderer) texts(ctx context.Context, m *model, spec job.Spec) (prompted, negative text, err error) {
	positive := phrase{prompt: spec.Prompt, syntax: spec.PromptSyntax}
	other := phrase{syntax: spec.PromptSyntax}
	if spec.NegativePrompt != nil {
		other.prompt = *spec.NegativePrompt
	}
	guided := spec.Guided() && !m.model.Distilled
	chunks, err := m.text.chunks(positive)
	if err == nil && guided {
		var more int
		more, err = m.text.chunks(other)
		chunks = max(chunks, more)
	}
	if err == nil {
		prompted, err = m.text.encode(ctx, positive, spec.ClipSkip, chunks)
	}
	switch {
	case err != nil || !guided:
	case spec.NegativePrompt == nil && m.zeros:
		negative = m.text.zeros(prompted)
	default:
		// As in diffusers, layers are skipped for the prompt only.
		negative, err = m.text.encode(ctx, other, 0, chunks)
	}
	return prompted, negative, err
}

// denoise turns the noise of the job's seed, and what it starts from, into a
// latent, [channels height width], which is the X of the sampler's state.
func (r *Renderer) denoise(ctx context.Context, m *model, by *leaders, order job.Order, from *source, made job.MadeWith, prompted, negative text, progress func(done, all int)) (*sampler.State, error) {
	spec := order.Spec
	options := sampler.Options{Steps: spec.Steps, Eta: spec.Eta, Seed: spec.Seed}
	if m.spreads(spec) {
		options.Strength = spec.Strength
	}
	plan, err := sampler.New(spec.Sampler, spec.Schedule, m.scheduler(spec), options)
	if err != nil {
		return nil, job.Bad(err)
	}
	if err := m.unet.takes(prompted.tokens); err != nil {
		return nil, job.Bad(err)
	}
	if by != nil {
		if err := by.takes(prompted.tokens); err != nil {
			return nil, job.Bad(err)
		}
	}
	row := Row{Height: spec.Height / m.vae.factor, Width: spec.Width / m.vae.factor, Text: prompted.states, Tokens: prompted.tokens, Pooled: prompted.pooled, Scales: make([]float32, m.unet.fused)}
	if m.isXL() {
		size := [2]float32{float32(spec.Height), float32(spec.Width)}
		row.TimeIDs = []float32{size[0], size[1], 0, 0, size[0], size[1]}
	}
	if m.model.Distilled {
		row.Guidance = guidanceEmbedding(spec.GuidanceScale, *m.folder.unet.TimeCondDim)
	}
	generator := noise.New(spec.Seed)
	begin, err := r.begin(ctx, m, spec, plan, from, generator)
	if err != nil {
		return nil, err
	}
	row.Beside = begin.beside
	if spec.NoiseLevel != nil {
		row.Noise = float32(*spec.NoiseLevel)
	}
	state := plan.Begin(begin.latent, begin.first, generator)
	r.resume(order.Checkpoint, made, plan, state)
	place, err := r.lanes.join(m.unet, row, by)
	if err != nil {
		return nil, err
	}
	defer place.Leave()
	denoiser := newGuided(place, spec, state, begin.first, plan.Evaluations(), row, negative)
	if by != nil {
		denoiser.lead = newLead(place, spec.Control, by, &denoiser.pair)
	}
	after := func(done int) error {
		if begin.blend != nil {
			begin.blend.apply(state.X, done)
		}
		progress(done-begin.first, plan.Evaluations()-begin.first)
		return nil
	}
	if err := plan.Run(ctx, state, denoiser, after); err != nil {
		return nil, preempted(err, made, state)
	}
	if !finite(state.X) {
		return nil, job.Bad(errors.New("the latent holds values that are not numbers"))
	}
	return state, nil
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
