package sampler

import (
	"context"
	"math"
)

// dpm2 takes the slope at the middle of the step in log sigma: DPM-Solver-2 of
// Lu et al., arXiv 2206.00927, algorithm 1 with r1 = 1/2, in the noise levels
// of Karras et al., arXiv 2206.00364. Evaluation 2k is at the beginning of
// step k, 2k+1 in its middle; the last step has the former only.
func dpm2(ctx context.Context, r *run) error {
	p := r.plan
	before := r.h[0]
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma := float32(p.levels[i].sigma)
		if i%2 == 0 {
			to := 0.
			if i+1 < p.Evaluations() {
				to = p.levels[i+1].sigma
			}
			dt := float32(to - p.levels[i].sigma)
			for j, d := range r.denoised {
				before[j] = r.x[j]
				r.x[j] += (r.x[j] - d) / sigma * dt
			}
		} else {
			dt := float32(p.sigmas[i] - p.sigmas[i-1])
			for j, d := range r.denoised {
				r.x[j] = before[j] + (r.x[j]-d)/sigma*dt
			}
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// dpm2Ancestral is dpm2 to a noise level below the next one, and fresh noise up
// to that.
func dpm2Ancestral(ctx context.Context, r *run) error {
	p := r.plan
	before := r.h[0]
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma := float32(p.levels[i].sigma)
		if i%2 == 0 {
			to := 0.
			if i+1 < p.Evaluations() {
				to = p.levels[i+1].sigma
			}
			dt := float32(to - p.levels[i].sigma)
			for j, d := range r.denoised {
				before[j] = r.x[j]
				r.x[j] += (r.x[j] - d) / sigma * dt
			}
		} else {
			down, up := ancestral(p.sigmas[i-1], p.sigmas[i])
			r.draw()
			dt, fresh := float32(down-p.sigmas[i-1]), float32(up)
			for j, d := range r.denoised {
				r.x[j] = before[j] + (r.x[j]-d)/sigma*dt
				r.x[j] += r.noise[j] * fresh
			}
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// planDPM2 puts a step's middle halfway between its ends in log sigma.
func planDPM2(p *Plan) error {
	return p.planDPM2(func(from, to float64) float64 { return math.Sqrt(from * to) })
}

// planDPM2Ancestral puts it halfway to where the step goes down to.
func planDPM2Ancestral(p *Plan) error {
	return p.planDPM2(func(from, to float64) float64 {
		down, _ := ancestral(from, to)
		return math.Sqrt(from * down)
	})
}

func (p *Plan) planDPM2(middle func(from, to float64) float64) error {
	timesteps, sigmas, err := p.sigmaSchedule()
	if err != nil {
		return err
	}
	if p.set.schedule() == karras {
		rounded(timesteps)
	}
	return p.planMidpoints(timesteps, sigmas, func(from, to float64) float64 {
		return float64(float32(middle(from, to)))
	})
}
