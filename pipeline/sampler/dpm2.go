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
	before := r.h[0] // x at the beginning of the step
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		if i%2 == 0 {
			copy(before, r.x)
			r.slide(before, i, p.middle(i)-p.sigmas[i])
		} else {
			r.slide(before, i, p.sigmas[i]-p.sigmas[i-1])
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
		if i%2 == 0 {
			copy(before, r.x)
			r.slide(before, i, p.middle(i)-p.sigmas[i])
		} else {
			down, up := ancestral(p.sigmas[i-1], p.sigmas[i])
			r.slide(before, i, down-p.sigmas[i-1])
			r.addNoise(up)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// slide takes x by dt from before, along the slope at evaluation i.
func (r *run) slide(before []float32, i int, dt float64) {
	sigma, step := float32(r.plan.levels[i].sigma), float32(dt)
	for j, d := range r.denoised {
		r.x[j] = before[j] + (r.x[j]-d)/sigma*step
	}
}

// middle is the noise level in the middle of the step that evaluation i
// begins; the last step goes all the way.
func (p *Plan) middle(i int) float64 {
	if i+1 < p.Evaluations() {
		return p.levels[i+1].sigma
	}
	return 0
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
