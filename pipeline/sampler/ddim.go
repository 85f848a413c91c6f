package sampler

import "context"

// ddim is Song et al., arXiv 2010.02502, equation 12: the clean sample that the
// network expects, made noisy again by the noise that it sees, and for an eta
// above 0 by fresh noise.
func ddim(ctx context.Context, r *run) error {
	p := r.plan
	eta := float32(p.options.Eta)
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		seen := r.out
		p.prediction.noise(seen, r.x, r.out, p.levels[i])

		t := int(p.timesteps[i])
		now, next := p.alphas[t], p.bar(t-p.stride(), p.cleanBar())
		fresh := eta * sqrt32((1-next)/(1-now)*(1-now/next)) // equation 16
		clean, direction := sqrt32(next), sqrt32(max(0, 1-next-fresh*fresh))
		for j, d := range r.denoised {
			r.x[j] = clean*d + direction*seen[j]
		}
		if eta > 0 {
			r.addNoise(float64(fresh))
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}
