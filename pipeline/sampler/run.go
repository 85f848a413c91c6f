package sampler

import (
	"context"
	"errors"
	"fmt"
)

// Begin returns the state before evaluation at of the plan: 0, or what
// [Plan.Start] says. The latent x is the state's from now on; for text to
// image it is standard normal noise times [Plan.InitNoiseSigma], for image to
// image what [Plan.AddNoise] makes.
func (p *Plan) Begin(x []float32, at int, noise Noise) *State {
	s := &State{X: x, Noise: noise, plan: p.fingerprint, begin: at, done: at, history: make([][]float32, p.buffers)}
	for i := range s.history {
		s.history[i] = make([]float32, len(x))
	}
	return s
}

// Run takes the state from where it is to the end of the plan; its X is the
// latent then. After every evaluation of the network it calls after, unless
// that is nil, with the number of evaluations that lie behind: there the state
// may be written down and its X be changed. An error of after, of the denoiser
// or of the context ends the run; the state is then as it was after the last
// evaluation that was finished, and Run may be called again.
func (p *Plan) Run(ctx context.Context, s *State, denoiser Denoiser, after func(done int) error) error {
	if err := p.Check(s); err != nil {
		return err
	}
	return p.method.loop(ctx, p.newRun(s, denoiser, after))
}

func (p *Plan) newRun(s *State, denoiser Denoiser, after func(int) error) *run {
	r := &run{
		plan: p, state: s, denoiser: denoiser, after: after,
		x: s.X, h: s.history,
		input: make([]float32, len(s.X)), out: make([]float32, len(s.X)), denoised: make([]float32, len(s.X)),
	}
	if p.method.Name == "dpmpp_sde" {
		r.brownian = newBrownianPath(p.options.Seed).extend
		r.noise = make([]float32, len(s.X))
	}
	if p.draws() {
		r.noise = make([]float32, len(s.X))
	}
	if p.set.Thresholding {
		r.sorted = make([]float32, len(s.X))
	}
	return r
}

// Check says why a state is none of this plan's.
func (p *Plan) Check(s *State) error {
	switch {
	case s.plan != p.fingerprint:
		return errors.New("sampler state: it belongs to another sampler, schedule, number of steps or scheduler_config.json")
	case len(s.history) != p.buffers:
		return fmt.Errorf("sampler state: %d buffers, %s has %d", len(s.history), p.method.Name, p.buffers)
	case s.begin < 0 || s.done < s.begin || s.done > p.Evaluations():
		return fmt.Errorf("sampler state: begun at evaluation %d and at %d of %d", s.begin, s.done, p.Evaluations())
	case p.draws() && s.Noise == nil:
		return fmt.Errorf("%s draws noise, and the state's Noise is nil", p.method.Name)
	}
	return nil
}

// run is one walk through a plan. All its buffers are made before the first
// step.
type run struct {
	plan     *Plan
	state    *State
	denoiser Denoiser
	after    func(int) error

	x        []float32   // the state's latent
	h        [][]float32 // the state's history
	input    []float32   // x as the network expects it
	out      []float32   // what the network predicts
	denoised []float32   // the clean sample, as far as the network can tell
	noise    []float32
	sorted   []float32 // magnitudes, for the threshold

	// brownian adds to w the increment of a Brownian path over a numbered
	// interval of the given length.
	brownian func(w []float32, interval int, length float64)
}

// from is the first evaluation to be done, sinceBegin how many there were
// before evaluation i.
func (r *run) from() int            { return r.state.done }
func (r *run) sinceBegin(i int) int { return i - r.state.begin }

// predict asks the network about the latent at evaluation i.
func (r *run) predict(ctx context.Context, i int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	sample := r.x
	if scale := float32(r.plan.levels[i].scale); scale != 1 {
		for j, v := range r.x {
			r.input[j] = v / scale
		}
		sample = r.input
	}
	if err := r.denoiser.Denoise(ctx, r.out, sample, r.plan.timesteps[i]); err != nil {
		return fmt.Errorf("evaluation %d of %d: %w", i+1, r.plan.Evaluations(), err)
	}
	return nil
}

// denoise asks the network and leaves in r.denoised the clean sample that it
// expects, clipped where the model wants that.
func (r *run) denoise(ctx context.Context, i int) error {
	if err := r.predict(ctx, i); err != nil {
		return err
	}
	r.plan.prediction.denoised(r.denoised, r.x, r.out, r.plan.levels[i])
	r.limit(r.denoised)
	return nil
}

// addNoise adds fresh noise of the given standard deviation to x. It draws even
// if that is zero, so that the generator's place is diffusers'.
func (r *run) addNoise(deviation float64) {
	r.draw()
	d := float32(deviation)
	for j, n := range r.noise {
		r.x[j] += d * n
	}
}

// draw fills r.noise from the job's generator.
func (r *run) draw() { r.state.Noise.Normal(r.noise) }

// finish ends evaluation i.
func (r *run) finish(i int) error {
	r.state.done = i + 1
	if r.after == nil {
		return nil
	}
	return r.after(i + 1)
}

// shift moves the history one place towards its beginning and returns the
// buffer at its end, to be filled.
func shift(h [][]float32) []float32 {
	first := h[0]
	copy(h, h[1:])
	h[len(h)-1] = first
	return first
}
