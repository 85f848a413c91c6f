package sampler

import (
	"context"
	"math"
)

const lmsOrder = 4

// lms integrates the polynomial through the last four slopes: Adams and
// Bashforth's method with uneven steps (Hairer, Norsett, Wanner, Solving
// Ordinary Differential Equations I, III.5).
func lms(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma := float32(p.sigmas[i])
		slope := shift(r.h)
		for j, d := range r.denoised {
			slope[j] = (r.x[j] - d) / sigma
		}
		// A run that begins in the middle knows fewer slopes than the order
		// says; like diffusers it leaves out those that it doesn't know.
		order := min(i+1, lmsOrder)
		known := min(order, r.sinceBegin(i)+1)
		var weights [lmsOrder]float32
		for k := range known {
			weights[k] = float32(lmsWeight(p.sigmas[:i+2], order, k))
		}
		for j := range r.x {
			sum := float32(0)
			for k := range known {
				sum += weights[k] * r.h[lmsOrder-1-k][j]
			}
			r.x[j] += sum
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// lmsWeight integrates from the last but one of sigmas to the last the Lagrange
// polynomial that is 1 at the k-th of the order levels before the last. Three
// points of Gauss and Legendre are exact for its degree.
func lmsWeight(sigmas []float64, order, k int) float64 {
	now := len(sigmas) - 2
	from, to := sigmas[now], sigmas[now+1]
	sum := 0.
	for _, point := range [...]struct{ at, weight float64 }{
		{-math.Sqrt(.6), 5. / 9}, {0, 8. / 9}, {math.Sqrt(.6), 5. / 9},
	} {
		tau := (from+to)/2 + (to-from)/2*point.at
		product := point.weight
		for other := range order {
			if other != k {
				product *= (tau - sigmas[now-other]) / (sigmas[now-k] - sigmas[now-other])
			}
		}
		sum += product
	}
	return sum * (to - from) / 2
}
