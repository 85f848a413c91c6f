package sampler

import (
	"fmt"
	"math"
)

// The plans of the samplers that come from k-diffusion. In their latents the
// clean sample keeps its size; the network gets them divided by
// sqrt(sigma^2+1).

// sigmaSchedule fills in the plan's noise table and returns timesteps and noise
// levels of the steps, without the final zero.
func (p *Plan) sigmaSchedule() (timesteps, sigmas []float64, err error) {
	s := p.set
	p.fillTable()
	steps := p.options.Steps
	if timesteps, err = s.spaced(steps); err != nil {
		return nil, nil, err
	}
	if p.method.Name != "dpmpp_sde" {
		single(timesteps)
	}
	sigmas = p.table.atAll(timesteps)
	if s.InterpolationType == "log_linear" {
		logs := linspace32(float64(p.table.logs[len(p.table.logs)-1]), float64(p.table.logs[0]), steps+1)
		sigmas = make([]float64, len(logs))
		for i, l := range logs {
			sigmas[i] = float64(exp32(l))
		}
	}
	name := s.schedule()
	if name == "" {
		return timesteps, sigmas, nil
	}
	high, low := sigmas[0], sigmas[len(sigmas)-1]
	if ownBounds := name == karras && (p.method.Name == "lms" || p.method.Name == "dpmpp_sde"); !ownBounds {
		high, low = s.bounds(high, low)
	}
	sigmas = scheduled(name, high, low, steps)
	return p.table.timesteps(sigmas), sigmas, nil
}

// explode fills in the levels of evaluations at the given noise levels, and
// what image-to-image runs start from.
func (p *Plan) explode(evaluated []float64) error {
	for i, sigma := range evaluated {
		if !(sigma > 0) {
			return fmt.Errorf("evaluation %d of %d has noise level %v, want more than 0", i+1, len(evaluated), sigma)
		}
		p.levels = append(p.levels, exploding(sigma))
		p.noised = append(p.noised, level{alpha: 1, sigma: p.sigmas[i]})
	}
	most := 0.
	for _, sigma := range p.sigmas {
		most = max(most, sigma)
	}
	p.initial = most
	if p.set.TimestepSpacing == leading {
		p.initial = math.Sqrt(most*most + 1)
	}
	return nil
}

// planEuler plans the samplers that ask the network once a step.
func planEuler(p *Plan) error {
	timesteps, sigmas, err := p.sigmaSchedule()
	if err != nil {
		return err
	}
	final := 0.
	if p.set.FinalSigmasType == finalSigmaMin {
		final = float64(p.table.sigmas[0])
	}
	p.sigmas = single(append(sigmas, final))
	p.timesteps = single(timesteps)
	if p.set.TimestepType == "continuous" && p.set.PredictionType == vPrediction {
		p.timesteps = make([]float64, len(sigmas))
		for i := range p.timesteps {
			p.timesteps[i] = float64(.25 * log32(float32(p.sigmas[i])))
		}
	}
	return p.explode(p.sigmas[:len(p.timesteps)])
}

// planHeun plans two evaluations a step, at its two ends, and one in the last.
func planHeun(p *Plan) error {
	timesteps, sigmas, err := p.sigmaSchedule()
	if err != nil {
		return err
	}
	p.timesteps = append(p.timesteps, timesteps[0])
	p.sigmas = append(p.sigmas, sigmas[0])
	for i := 1; i < len(sigmas); i++ {
		p.timesteps = append(p.timesteps, timesteps[i], timesteps[i])
		p.sigmas = append(p.sigmas, sigmas[i], sigmas[i])
	}
	single(p.timesteps)
	evaluated := single(p.sigmas)
	p.sigmas = append(p.sigmas, 0)
	return p.explode(evaluated)
}

// planMidpoints plans two evaluations a step, at its beginning and at the noise
// level that middle returns for the step from one level to the next, and one
// in the last.
func (p *Plan) planMidpoints(timesteps, sigmas []float64, middle func(from, to float64) float64) error {
	single(sigmas)
	var evaluated []float64
	for i, sigma := range sigmas {
		p.timesteps = append(p.timesteps, timesteps[i])
		p.sigmas = append(p.sigmas, sigma)
		evaluated = append(evaluated, sigma)
		if i+1 < len(sigmas) {
			mid := middle(sigma, sigmas[i+1])
			p.timesteps = append(p.timesteps, p.table.timestep(mid))
			p.sigmas = append(p.sigmas, sigmas[i+1])
			evaluated = append(evaluated, mid)
		}
	}
	p.sigmas = append(p.sigmas, 0)
	single(p.timesteps)
	return p.explode(evaluated)
}
