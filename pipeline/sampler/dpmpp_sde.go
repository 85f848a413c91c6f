package sampler

import (
	"context"
	"math"
)

// dpmppSDE is a stochastic DPM-Solver++ of order two with its middle at half
// the step in log sigma: Lu et al., arXiv 2211.01095, with the ancestral noise
// of k-diffusion's sample_dpmpp_sde. The noise of a step's first half is part
// of the whole step's: both come from one Brownian path over sigma.
func dpmppSDE(ctx context.Context, r *run) error {
	p := r.plan
	before := r.h[0]
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma := p.levels[i].sigma
		switch {
		case i+1 == p.Evaluations():
			for j, d := range r.denoised {
				r.x[j] += (r.x[j] - d) / float32(sigma) * float32(-sigma)
			}
		case i%2 == 0:
			middle := p.levels[i+1].sigma
			copy(before, r.x)
			clear(r.noise)
			r.brownian(r.noise, i, sigma-middle)
			r.stepSDE(sigma, middle)
		default:
			from, to := p.levels[i-1].sigma, p.levels[i+1].sigma
			copy(r.x, before)
			clear(r.noise)
			r.brownian(r.noise, i-1, from-sigma)
			r.brownian(r.noise, i, sigma-to)
			r.stepSDE(from, to)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// stepSDE takes x from one noise level to another; r.noise is the Brownian
// path's increment between them.
func (r *run) stepSDE(from, to float64) {
	down, up := ancestral(from, to)
	keep, clean := float32(down/from), float32(1-down/from)
	fresh := float32(up / math.Sqrt(from-to))
	for j, d := range r.denoised {
		r.x[j] = keep*r.x[j] + clean*d + r.noise[j]*fresh
	}
}

// planSDE puts a step's middle halfway between its ends in log sigma.
func planSDE(p *Plan) error {
	timesteps, sigmas, err := p.sigmaSchedule()
	if err != nil {
		return err
	}
	return p.planMidpoints(timesteps, sigmas, func(from, to float64) float64 { return math.Sqrt(from * to) })
}
