package sampler

import (
	"context"
	"math"
)

// lcm lets a consistency model jump to the clean sample, and makes that noisy
// again for the next jump: Luo et al., arXiv 2310.04378, algorithm 3. The
// skip keeps a sample at timestep 0 as it is (Song et al., arXiv 2303.01469,
// appendix C).
func lcm(ctx context.Context, r *run) error {
	const sigmaData = .5
	p := r.plan
	for i := r.from(); i < p.Evaluations(); i++ {
		if err := r.denoise(ctx, i); err != nil {
			return err
		}
		t := p.timesteps[i] * p.set.TimestepScaling
		skip := float32(sigmaData * sigmaData / (t*t + sigmaData*sigmaData))
		jump := float32(t / math.Sqrt(t*t+sigmaData*sigmaData))
		for j, d := range r.denoised {
			r.x[j] = jump*d + skip*r.x[j]
		}
		if i+1 < p.Evaluations() {
			r.draw()
			next := p.levels[i+1]
			alpha, sigma := float32(next.alpha), float32(next.sigma)
			for j, n := range r.noise {
				r.x[j] = alpha*r.x[j] + sigma*n
			}
		}
		if err := r.finish(i); err != nil {
			return err
		}
	}
	return nil
}
