package sampler

import (
	"context"
	"math"
)

// deis integrates the polynomial in log rho through the last predictions of
// the noise, rho being the noise in proportion to the clean sample: Zhang and
// Chen, arXiv 2204.13902, equation 14 in the variable of its section 4.
func deis(ctx context.Context, r *run) error {
	p := r.plan
	m := func(back int) []float32 { return r.h[len(r.h)-1-back] }
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		t, s := p.levels[i+1], p.levels[i]
		seen := shift(r.h)
		alpha, sigma := float32(s.alpha), float32(s.sigma)
		for j, d := range r.denoised {
			seen[j] = (r.x[j] - alpha*d) / sigma
		}
		from, to := s.rho(), t.rho()
		w := dpmWeights{x: t.alpha / s.alpha}
		switch r.deisOrder(i) {
		case 1:
			r.advance(r.x, w, m(0), nil, nil, t.alpha*(to-from), 0, 0)
		case 2:
			back := p.levels[i-1].rho()
			r.advance(r.x, w, m(0), m(1), nil,
				t.alpha*(integral2(to, from, back)-integral2(from, from, back)),
				t.alpha*(integral2(to, back, from)-integral2(from, back, from)), 0)
		case 3:
			one, two := p.levels[i-1].rho(), p.levels[i-2].rho()
			r.advance(r.x, w, m(0), m(1), m(2),
				t.alpha*(integral3(to, from, one, two)-integral3(from, from, one, two)),
				t.alpha*(integral3(to, one, two, from)-integral3(from, one, two, from)),
				t.alpha*(integral3(to, two, from, one)-integral3(from, two, from, one)))
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

func (l level) rho() float64 { return l.sigma / l.alpha }

// integral2 is an antiderivative at rho of the line in log rho that is 1 at b
// and 0 at c.
func integral2(rho, b, c float64) float64 {
	return rho * (math.Log(rho) - math.Log(c) - 1) / (math.Log(b) - math.Log(c))
}

// integral3 is one of the parabola in log rho that is 1 at b and 0 at c and d.
func integral3(rho, b, c, d float64) float64 {
	l, lb, lc, ld := math.Log(rho), math.Log(b), math.Log(c), math.Log(d)
	return rho * (lc*(ld-l+1) - ld*l + ld + l*l - 2*l + 2) / ((lb - lc) * (lb - ld))
}

// deisOrder is the order of step i; a short run ends in lower ones.
func (r *run) deisOrder(i int) int {
	steps, order := r.plan.Evaluations(), min(r.plan.set.SolverOrder, r.sinceBegin(i)+1)
	if r.plan.set.LowerOrderFinal && steps < 15 {
		order = min(order, steps-i)
	}
	return order
}
