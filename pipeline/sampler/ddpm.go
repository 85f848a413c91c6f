package sampler

import "context"

// ddpm draws from the posterior of the latent one step earlier, given the clean
// sample that the network expects: Ho et al., arXiv 2006.11239, equations 6
// and 7.
func ddpm(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		t, before := int(p.timesteps[i]), -1
		if i+1 < p.Evaluations() {
			before = int(p.timesteps[i+1])
		}
		now, next := p.alphas[t], p.bar(before, 1)
		alpha := now / next
		beta := 1 - alpha
		clean, keep := sqrt32(next)*beta/(1-now), sqrt32(alpha)*(1-next)/(1-now)
		for j, d := range r.denoised {
			r.x[j] = clean*d + keep*r.x[j]
		}
		if t > 0 {
			deviation := sqrt32(max((1-next)/(1-now)*beta, 1e-20))
			if p.set.VarianceType == "fixed_large" {
				deviation = sqrt32(beta)
			}
			r.addNoise(float64(deviation))
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}
