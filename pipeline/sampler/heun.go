package sampler

import "context"

// heun takes the mean of the slopes at both ends of a step: Karras et al.,
// arXiv 2206.00364, algorithm 1 without churn. Evaluations 2k and 2k+1 are the
// two ends of step k; the last step, to a noise level of zero, has one end.
func heun(ctx context.Context, r *run) error {
	p := r.plan
	before, slope := r.h[0], r.h[1] // x and its slope at the beginning of the step
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma := float32(p.sigmas[i])
		if i%2 == 0 {
			dt := float32(p.sigmas[i+1] - p.sigmas[i])
			for j, d := range r.denoised {
				before[j], slope[j] = r.x[j], (r.x[j]-d)/sigma
				r.x[j] += slope[j] * dt
			}
		} else {
			dt := float32(p.sigmas[i] - p.sigmas[i-1])
			for j, d := range r.denoised {
				r.x[j] = before[j] + (slope[j]+(r.x[j]-d)/sigma)/2*dt
			}
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}
