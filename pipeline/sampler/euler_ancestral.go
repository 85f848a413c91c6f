package sampler

import "context"

// eulerAncestral goes down further than the next noise level and comes back up
// with fresh noise: the ancestral sampling of Ho et al., arXiv 2006.11239, in
// the variance-exploding form of Song et al., arXiv 2011.13456, appendix F.
func eulerAncestral(ctx context.Context, r *run) error {
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		down, up := ancestral(p.sigmas[i], p.sigmas[i+1])
		sigma, dt := float32(p.sigmas[i]), float32(down-p.sigmas[i])
		for j, d := range r.denoised {
			r.x[j] += (r.x[j] - d) / sigma * dt
		}
		r.addNoise(up)
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}

// ancestral splits the way from one noise level to a lower one: down to a
// still lower one, and up again by noise of that standard deviation. In long
// steps down is all rounding error, so that the roundings are diffusers'.
func ancestral(from, to float64) (down, up float64) {
	f, t := float32(from), float32(to)
	u := min(t, sqrt32(t*t*(f*f-t*t)/(f*f)))
	return float64(sqrt32(max(0, t*t-u*u))), float64(u)
}
