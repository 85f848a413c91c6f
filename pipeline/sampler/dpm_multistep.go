package sampler

import "context"

// dpmMultistep is DPM-Solver++(2M) and its relatives: Lu et al., arXiv
// 2211.01095, algorithm 2, with solvers of order one to three over predictions
// of the clean sample or of the noise, deterministic or stochastic.
func dpmMultistep(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.remember(ctx, i, r.h); err != nil {
			return err
		}
		m := func(back int) []float32 { return r.h[len(r.h)-1-back] }
		t, s := p.levels[i+1], p.levels[i]
		h, order := t.lambda()-s.lambda(), r.multistepOrder(i)
		if h == 0 {
			order = 1
		}
		switch order {
		case 1:
			w := p.weights(t, s, true)
			r.advance(r.x, w, m(0), nil, nil, w.d0, 0, 0)
		case 2:
			w := p.weights(t, s, p.set.SolverType == "midpoint")
			d1 := w.d1 / ((s.lambda() - p.levels[i-1].lambda()) / h)
			r.advance(r.x, w, m(0), m(1), nil, w.d0+d1, -d1, 0)
		case 3:
			w := p.weights(t, s, false)
			r0 := (s.lambda() - p.levels[i-1].lambda()) / h
			r1 := (p.levels[i-1].lambda() - p.levels[i-2].lambda()) / h
			// D1 = a + r0/(r0+r1) (a-b) and D2 = (a-b)/(r0+r1), where
			// a = (m0-m1)/r0 and b = (m1-m2)/r1.
			a := (w.d1*(1+r0/(r0+r1)) + w.d2/(r0+r1)) / r0
			b := (-w.d1*r0/(r0+r1) - w.d2/(r0+r1)) / r1
			r.advance(r.x, w, m(0), m(1), m(2), w.d0+a, b-a, -b)
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// multistepOrder is the order of step i: as high as the solver's and as what
// is known allow, and lower again at the end of a short run.
func (r *run) multistepOrder(i int) int {
	p, s := r.plan, r.plan.set
	steps := p.Evaluations()
	short := s.LowerOrderFinal && steps < 15
	order := min(s.SolverOrder, r.sinceBegin(i)+1)
	switch {
	case i == steps-1 && (short || s.EulerAtFinal || s.FinalSigmasType == finalZero):
		return 1
	case i == steps-2 && short:
		return min(order, 2)
	}
	return order
}

func planMultistep(p *Plan) error {
	p.fillTable()
	last, err := p.lastTimestep()
	if err != nil {
		return err
	}
	timesteps, err := p.set.spacedBeyond(last, p.options.Steps)
	if err != nil {
		return err
	}
	return p.planLevels(timesteps)
}
