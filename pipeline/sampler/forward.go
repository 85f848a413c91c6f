package sampler

import "math"

// Forward is the forward process by itself: how a model's training made clean
// samples noisy, timestep by timestep (Ho et al., arXiv 2006.11239, equation 4).
type Forward struct{ alphas []float32 }

// Forward returns the configuration's forward process, as diffusers'
// DDPMScheduler reads the configuration.
func (c Config) Forward() (Forward, error) {
	set, err := c.settings(lookUp("ddpm"), "")
	if err != nil {
		return Forward{}, err
	}
	return Forward{set.alphasCumprod()}, nil
}

// Timesteps is how many timesteps there are; the last is one less.
func (f Forward) Timesteps() int { return len(f.alphas) }

// AddNoise writes to dst the clean sample as noisy as it is at a timestep. The
// slices have one length; dst may be one of the others.
func (f Forward) AddNoise(dst, clean, noise []float32, timestep int) {
	alpha := float32(math.Sqrt(float64(f.alphas[timestep])))
	sigma := float32(math.Sqrt(float64(1 - f.alphas[timestep])))
	for i := range dst {
		dst[i] = float32(alpha*clean[i]) + float32(sigma*noise[i])
	}
}
