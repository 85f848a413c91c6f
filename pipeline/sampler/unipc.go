package sampler

import (
	"context"
	"math"
	"slices"
)

// unipc is Zhao et al., arXiv 2302.04867, algorithms 1 and 2: every evaluation
// of the network first corrects the latent that it was made at, then predicts
// the next.
func unipc(ctx context.Context, r *run) error {
	p := r.plan
	history, before := r.h[:len(r.h)-1], r.h[len(r.h)-1] // before: the latent one step ago, corrected
	model := r.denoised
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.predict(ctx, i); err != nil {
			return err
		}
		if p.predictsNoise() {
			p.prediction.noise(model, r.x, r.out, p.levels[i])
		} else {
			p.prediction.denoised(model, r.x, r.out, p.levels[i])
			r.limit(model)
		}
		if r.sinceBegin(i) > 0 && !slices.Contains(p.set.DisableCorrector, i-1) {
			r.unified(history, before, model, i-1, r.unipcOrder(i-1))
		}
		copy(shift(history), model)
		copy(before, r.x)
		r.unified(history, before, nil, i, r.unipcOrder(i))
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) unipcOrder(i int) int {
	order := min(r.plan.set.SolverOrder, r.sinceBegin(i)+1)
	if r.plan.set.LowerOrderFinal {
		order = min(order, r.plan.Evaluations()-i)
	}
	return order
}

// unified takes from, the latent at evaluation i, to the next level and writes
// it to x: UniP where next is nil, else UniC, next being the network's
// prediction there. The history ends with the prediction at i.
func (r *run) unified(history [][]float32, from, next []float32, i, order int) {
	p := r.plan
	t, s := p.levels[i+1], p.levels[i]
	h := t.lambda() - s.lambda()
	if h == 0 {
		order = 1
	}
	keep, scale := t.sigma/s.sigma, t.alpha
	if p.predictsNoise() {
		keep, scale = t.alpha/s.alpha, t.sigma
	} else {
		h = -h
	}
	phi := math.Expm1(h)
	b := phi // the paper's B(h)
	if p.set.SolverType == "bh1" {
		b = h
	}

	var at [3]float64 // where predictions lie: -1 is one step back, 1 the next level
	for k := 1; k < order; k++ {
		at[k-1] = (p.levels[i-k].lambda() - s.lambda()) / (t.lambda() - s.lambda())
	}
	at[order-1] = 1
	rho := unifiedWeights(at, h, b, order, next != nil)

	now := history[len(history)-1]
	x, w := float32(keep), float32(-scale*phi)
	for j, m := range now {
		r.x[j] = x*from[j] + w*m
	}
	for k := 1; k < order; k++ {
		past, w := history[len(history)-1-k], float32(-scale*b*rho[k-1]/at[k-1])
		for j, m := range now {
			r.x[j] += w * (past[j] - m)
		}
	}
	if next != nil {
		w := float32(-scale * b * rho[order-1])
		for j, m := range now {
			r.x[j] += w * (next[j] - m)
		}
	}
}

// unifiedWeights solves the paper's equation 9 for the weights of the
// differences to the predictions that lie at the given places; the last one is
// the corrector's own. Of order one and of the predictor's order two the
// equation has 1/2 as its limit.
func unifiedWeights(at [3]float64, h, b float64, order int, correct bool) (rho [3]float64) {
	n := order
	if !correct {
		n--
	}
	if n < 1 {
		return rho
	}
	if order == 1 || order == 2 && !correct {
		rho[0] = .5
		return rho
	}
	var m [3][4]float64 // n equations, the right-hand side in the last column
	phi, factorial := math.Expm1(h)/h-1, 1.
	for row := range n {
		for column := range n {
			m[row][column] = math.Pow(at[column], float64(row))
		}
		m[row][3] = phi * factorial / b
		factorial *= float64(row + 2)
		phi = phi/h - 1/factorial
	}
	return solve(m, n)
}

// solve is Gaussian elimination with pivots.
func solve(m [3][4]float64, n int) (x [3]float64) {
	for c := range n {
		pivot := c
		for row := c + 1; row < n; row++ {
			if math.Abs(m[row][c]) > math.Abs(m[pivot][c]) {
				pivot = row
			}
		}
		m[c], m[pivot] = m[pivot], m[c]
		for row := c + 1; row < n; row++ {
			f := m[row][c] / m[c][c]
			for k := c; k < 4; k++ {
				m[row][k] -= f * m[c][k]
			}
		}
	}
	for row := n - 1; row >= 0; row-- {
		x[row] = m[row][3]
		for k := row + 1; k < n; k++ {
			x[row] -= m[row][k] * x[k]
		}
		x[row] /= m[row][row]
	}
	return x
}

// planUnclipped plans UniPC and DEIS, which take all training timesteps.
func planUnclipped(p *Plan) error {
	p.fillTable()
	timesteps, err := p.set.spacedBeyond(p.set.NumTrainTimesteps, p.options.Steps)
	if err != nil {
		return err
	}
	return p.planLevels(timesteps)
}
