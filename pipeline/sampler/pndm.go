package sampler

import (
	"context"
	"fmt"
	"slices"
)

const (
	pndmOrder   = 4
	pndmBuffers = pndmOrder + 2 // predictions; the sum and the latent of a step under way

	// rungeKutta is how many evaluations the first three steps take where
	// they are steps of Runge and Kutta's.
	rungeKutta = 12
)

// pndm is Liu et al., arXiv 2202.09778: a linear multistep of order four over
// the network's predictions (equation 9), moved along the curve of equation
// 11. It starts with three pseudo Runge-Kutta steps of four evaluations each
// (equation 13), or where the configuration skips those, with one step that is
// taken twice, as latent diffusion does it (PLMS).
func pndm(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.predict(ctx, i); err != nil {
			return err
		}
		if at := r.sinceBegin(i); !p.set.SkipPRKSteps && at < rungeKutta {
			r.rungeKutta(i, at)
		} else {
			r.multistep(i, at)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// rungeKutta does evaluation i, the at-th of the start.
func (r *run) rungeKutta(i, at int) {
	p := r.plan
	sum, before := r.h[pndmOrder], r.h[pndmOrder+1]
	from := int(p.timesteps[at/4*4])
	to := int(p.timesteps[i])
	if at%2 == 0 {
		to -= p.stride() / 2
	}
	weight := float32(1. / 3)
	switch at % 4 {
	case 0:
		weight = 1. / 6
		copy(shift(r.h[:pndmOrder]), r.out)
		copy(before, r.x)
		clear(sum)
	case 3:
		weight = 1. / 6
	}
	for j, o := range r.out {
		sum[j] += weight * o
	}
	slope := r.out
	if at%4 == 3 {
		slope = sum
	}
	copy(r.x, before)
	r.transfer(slope, from, to)
}

// multistep does evaluation i, the at-th since the beginning.
func (r *run) multistep(i, at int) {
	p := r.plan
	e, before := r.h[:pndmOrder], r.h[pndmOrder+1]
	from := int(p.timesteps[i])
	to := from - p.stride()
	if at == 1 {
		from, to = from+p.stride(), from
	} else {
		copy(shift(e), r.out)
	}
	slope := r.out
	switch at {
	case 0:
		copy(before, r.x)
	case 1:
		copy(r.x, before)
		for j, o := range r.out {
			slope[j] = (o + e[3][j]) / 2
		}
	case 2:
		for j := range slope {
			slope[j] = (3*e[3][j] - e[2][j]) / 2
		}
	case 3:
		for j := range slope {
			slope[j] = (23*e[3][j] - 16*e[2][j] + 5*e[1][j]) / 12
		}
	default:
		for j := range slope {
			slope[j] = (55*e[3][j] - 59*e[2][j] + 37*e[1][j] - 9*e[0][j]) / 24
		}
	}
	r.transfer(slope, from, to)
}

// transfer is equation 11: it takes x from one timestep to another along a
// prediction of the network.
func (r *run) transfer(slope []float32, from, to int) {
	p := r.plan
	now, next := p.alphas[from], p.bar(to, p.cleanBar())
	seen := r.denoised
	p.prediction.noise(seen, r.x, slope, cumulative(now))
	keep := sqrt32(next / now)
	along := (next - now) / (now*sqrt32(1-next) + sqrt32(now*(1-now)*next))
	for j, n := range seen {
		r.x[j] = keep*r.x[j] - along*n
	}
}

// planPNDM repeats the second timestep of a multistep start, and gives a
// Runge-Kutta start four evaluations a step: at its two ends and twice in its
// middle.
func planPNDM(p *Plan) error {
	if err := planSpaced(p); err != nil {
		return err
	}
	spaced := p.timesteps
	if p.set.SkipPRKSteps {
		if len(spaced) > 1 {
			p.timesteps = slices.Insert(spaced, 1, spaced[1])
		}
		return nil
	}
	if len(spaced) < pndmOrder {
		return fmt.Errorf("%d steps, want at least %d where `skip_prk_steps` is false", len(spaced), pndmOrder)
	}
	half := float64(p.stride() / 2)
	p.timesteps = nil
	for k := range pndmOrder - 1 {
		from, to := spaced[k], spaced[k+1]
		p.timesteps = append(p.timesteps, from, to+half, to+half, to)
	}
	p.timesteps = append(p.timesteps, spaced[pndmOrder-1:]...)
	return nil
}
