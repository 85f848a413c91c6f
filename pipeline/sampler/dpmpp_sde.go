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
	path := newBrownianPath(p.options.Seed, len(r.x))
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		from, to := p.levels[i].sigma, 0.
		switch {
		case i+1 == p.Evaluations():
			sigma, dt := float32(from), float32(-from)
			for j, d := range r.denoised {
				r.x[j] += (r.x[j] - d) / sigma * dt
			}
		case i%2 == 0:
			to = p.levels[i+1].sigma
			copy(before, r.x)
			path.increment(i, from-to)
			r.stepSDE(path.w, from, to)
		default:
			middle := from
			from, to = p.levels[i-1].sigma, p.levels[i+1].sigma
			copy(r.x, before)
			path.increment(i-1, from-middle)
			path.extend(i, middle-to)
			r.stepSDE(path.w, from, to)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// stepSDE takes x from one noise level to another, w being the Brownian path's
// increment between them.
func (r *run) stepSDE(w []float32, from, to float64) {
	down, up := ancestral(from, to)
	keep := float32(down / from)
	clean := float32(-math.Expm1(math.Log(down / from)))
	fresh := float32(up / math.Sqrt(from-to))
	for j, d := range r.denoised {
		r.x[j] = keep*r.x[j] + clean*d + w[j]*fresh
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
