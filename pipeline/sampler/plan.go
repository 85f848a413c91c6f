package sampler

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// Options are what a job chooses beside the sampler and its schedule.
type Options struct {
	Steps int     // 1 .. 1000
	Eta   float64 // 0 .. 1, for ddim: how much fresh noise a step gets
	Seed  uint64  // for dpmpp_sde: of its Brownian path

	// Strength, 0 .. 1, is for lcm and image to image on a latent consistency
	// model, which spreads all of its steps over this part of the schedule and
	// begins at evaluation 0. 0 stands for 1. Image to image with the other
	// samplers leaves steps out: see [Plan.Start].
	Strength float64
}

// Plan is a sampler with its timesteps and noise levels. It doesn't change, so
// that any number of runs may share it.
type Plan struct {
	method  *method
	set     *settings
	options Options

	prediction  prediction
	table       noiseTable // of the classes that work in sigmas
	alphas      []float32  // alphas_cumprod
	timesteps   []float64  // of each evaluation
	sigmas      []float64  // before each evaluation, and after the last
	levels      []level    // at each evaluation
	noised      []level    // what AddNoise makes before each evaluation
	initial     float64
	buffers     int
	fingerprint uint64
}

// New plans options.Steps steps of the sampler called name for a model with
// the given configuration. The name is one of [Names], the schedule one of
// [Schedules]; empty, it is the configuration's own. What the sampler's
// scheduler class can't do, or does only by dividing by zero, is an error that
// names the key and its value.
func New(name, schedule string, config Config, options Options) (*Plan, error) {
	m := lookUp(name)
	if m == nil {
		return nil, unknown(name)
	}
	schedule, err := ResolveSchedule(name, schedule)
	if err != nil {
		return nil, err
	}
	if options.Steps < 1 || options.Steps > 1000 {
		return nil, fmt.Errorf("%d steps, want 1 .. 1000", options.Steps)
	}
	if !(options.Eta >= 0 && options.Eta <= 1) {
		return nil, fmt.Errorf("eta %v, want 0 .. 1", options.Eta)
	}
	if !(options.Strength >= 0 && options.Strength <= 1) {
		return nil, fmt.Errorf("strength %v, want 0 .. 1", options.Strength)
	}
	set, err := config.settings(m, schedule)
	if err != nil {
		return nil, err
	}
	p := &Plan{method: m, set: set, options: options, prediction: predictions[set.PredictionType], buffers: m.history(set)}
	p.alphas = set.alphasCumprod()
	if err := m.plan(p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.fingerprint = p.sum()
	return p, nil
}

// sum is a fingerprint of all that a state depends on.
func (p *Plan) sum() uint64 {
	h := fnv.New64a()
	set := *p.set
	set.SigmaMin, set.SigmaMax = nil, nil // pointers, whose effect is in the sigmas
	fmt.Fprintf(h, "%s %+v %+v", p.method.Name, set, p.options)
	for _, numbers := range [][]float64{p.timesteps, p.sigmas} {
		binary.Write(h, binary.LittleEndian, numbers) // a hash never fails
	}
	return h.Sum64()
}

// fillTable fills in the noise table; where the schedule ends without any
// signal, sigma is kept finite.
func (p *Plan) fillTable() {
	if p.set.RescaleBetasZeroSNR {
		p.alphas[len(p.alphas)-1] = 0x1p-24
	}
	p.table = newNoiseTable(p.alphas)
}

// Evaluations returns how often the network is asked in a whole run: about
// once or twice a step, depending on the sampler.
func (p *Plan) Evaluations() int { return len(p.timesteps) }

// Timestep returns the timestep of evaluation i.
func (p *Plan) Timestep(i int) float64 { return p.timesteps[i] }

// InitNoiseSigma is what standard normal noise is multiplied by to be the
// latent that a run from the beginning starts from.
func (p *Plan) InitNoiseSigma() float64 { return p.initial }

// Start returns the evaluation at which an image-to-image run of the given
// strength, 0 .. 1, begins; at Evaluations there is nothing left to do.
func (p *Plan) Start(strength float64) int {
	steps := p.options.Steps
	left := min(int(float64(steps)*strength), steps)
	return min((steps-left)*p.method.Evaluations, p.Evaluations())
}

// AddNoise is the forward process: it writes to dst the clean latent as noisy
// as a run's latent is before evaluation at, 0 .. Evaluations-1. The slices
// have one length; dst may be one of the others.
func (p *Plan) AddNoise(dst, clean, noise []float32, at int) {
	alpha, sigma := float32(p.noised[at].alpha), float32(p.noised[at].sigma)
	for i := range dst {
		dst[i] = alpha*clean[i] + sigma*noise[i]
	}
}

// draws says whether a run takes numbers from the job's generator.
func (p *Plan) draws() bool {
	switch p.method.Name {
	case "ddim":
		return p.options.Eta > 0
	case "dpmpp_sde":
		return false
	case "dpmpp_2m", "dpmpp_2s": // by the model's own algorithm_type
		return p.set.AlgorithmType == sde || p.set.AlgorithmType == sdePlusPlus
	}
	return p.method.Random
}
