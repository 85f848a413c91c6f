package sampler

import "context"

// euler follows the probability flow to the next noise level in a straight
// line: Karras et al., arXiv 2206.00364, algorithm 1 without its correction
// and without churn.
func euler(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		sigma, dt := float32(p.sigmas[i]), float32(p.sigmas[i+1]-p.sigmas[i])
		for j, d := range r.denoised {
			r.x[j] += (r.x[j] - d) / sigma * dt
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}
