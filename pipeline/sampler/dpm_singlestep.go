package sampler

import "context"

// dpmSinglestep is DPM-Solver++(2S): Lu et al., arXiv 2211.01095, algorithm 1,
// with solvers of order one to three. A step of order k spans k evaluations;
// each of them takes the latent from the step's beginning to the next noise
// level, with all that is known by then.
func dpmSinglestep(ctx context.Context, r *run) error {
	p := r.plan
	history, before := r.h[:len(r.h)-1], r.h[len(r.h)-1]
	m := func(back int) []float32 { return history[len(history)-1-back] }
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.remember(ctx, i, history); err != nil {
			return err
		}
		order := min(p.singlestepOrder(i), r.sinceBegin(i)+1)
		if order == 1 {
			copy(before, r.x)
		}
		t, s := p.levels[i+1], p.levels[i+1-order] // the step's end and its beginning
		h := t.lambda() - s.lambda()
		ratio := func(at level) float64 { return (at.lambda() - s.lambda()) / h }
		switch order {
		case 1:
			w := p.weights(t, s, true)
			r.advance(before, w, m(0), nil, nil, w.d0, 0, 0)
		case 2:
			w := p.weights(t, s, p.set.SolverType == "midpoint")
			d1 := w.d1 / ratio(p.levels[i])
			r.advance(before, w, m(1), m(0), nil, w.d0-d1, d1, 0)
		case 3:
			w := p.weights(t, s, false)
			r0, r1 := ratio(p.levels[i]), ratio(p.levels[i-1])
			// The slopes are a = (m1-m2)/r1 and b = (m0-m2)/r0.
			a, b := 0., w.d1/r0
			if p.set.SolverType == "heun" {
				a = (w.d1*r0 - 2*w.d2) / (r0 - r1) / r1
				b = (-w.d1*r1 + 2*w.d2) / (r0 - r1) / r0
			}
			r.advance(before, w, m(2), m(1), m(0), w.d0-a-b, a, b)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// singlestepOrder is the order of the solver that ends evaluation i: 1, 2, 1,
// 2, .. for order two. Where the evaluations don't come out even, where the
// final noise level is zero or where the configuration wants it, the last ones
// are of lower order.
func (p *Plan) singlestepOrder(i int) int {
	s, steps := p.set, p.Evaluations()
	order := s.SolverOrder
	lower := s.LowerOrderFinal || steps%order != 0 || s.FinalSigmasType == finalZero
	switch {
	case i == steps-1 && s.FinalSigmasType == finalZero:
		return 1
	case lower && i == steps-1 && (order < 3 || steps%3 != 2):
		return 1
	}
	return i%order + 1
}

func planSinglestep(p *Plan) error {
	p.fillTable()
	last, err := p.lastTimestep()
	if err != nil {
		return err
	}
	even := *p.set
	even.TimestepSpacing = linspaced
	timesteps, err := even.spacedBeyond(last, p.options.Steps)
	if err != nil {
		return err
	}
	return p.planLevels(timesteps)
}
