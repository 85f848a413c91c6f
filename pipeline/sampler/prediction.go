package sampler

import (
	"math"
	"slices"
)

// level is how noisy the latent x is where the network is asked: x is
// alpha*clean + sigma*noise, and the network gets x/scale.
type level struct {
	alpha, sigma, scale float64
}

// exploding is a level of the samplers in whose latents the clean sample keeps
// its size and the noise grows.
func exploding(sigma float64) level {
	return level{alpha: 1, sigma: sigma, scale: math.Sqrt(sigma*sigma + 1)}
}

// preserving is a level of the samplers whose latents keep their variance,
// sigma being the noise in proportion to the clean sample.
func preserving(sigma float64) level {
	alpha := 1 / math.Sqrt(sigma*sigma+1)
	return level{alpha: alpha, sigma: sigma * alpha, scale: 1}
}

// cumulative is a level of the samplers that look alphas_cumprod up.
func cumulative(bar float32) level {
	return level{alpha: float64(sqrt32(bar)), sigma: float64(sqrt32(1 - bar)), scale: 1}
}

// prediction reads what a network of one kind predicts: out, for the latent x
// at a level. Both functions may be given out as dst.
type prediction struct {
	denoised func(dst, x, out []float32, l level) // the clean sample
	noise    func(dst, x, out []float32, l level) // the noise
}

var predictions = map[string]prediction{
	epsilon: {
		denoised: func(dst, x, out []float32, l level) {
			alpha, sigma := float32(l.alpha), float32(l.sigma)
			for i, o := range out {
				dst[i] = (x[i] - sigma*o) / alpha
			}
		},
		noise: func(dst, _, out []float32, _ level) { copy(dst, out) },
	},
	vPrediction: { // Salimans, Ho, arXiv 2202.00512, appendix D
		denoised: func(dst, x, out []float32, l level) {
			alpha, sigma := float32(l.alpha/(l.scale*l.scale)), float32(l.sigma/l.scale)
			for i, o := range out {
				dst[i] = alpha*x[i] - sigma*o
			}
		},
		noise: func(dst, x, out []float32, l level) {
			alpha, sigma := float32(l.alpha), float32(l.sigma)
			for i, o := range out {
				dst[i] = alpha*o + sigma*x[i]
			}
		},
	},
	samplePredict: {
		denoised: func(dst, _, out []float32, _ level) { copy(dst, out) },
		noise: func(dst, x, out []float32, l level) {
			alpha, sigma := float32(l.alpha), float32(l.sigma)
			for i, o := range out {
				dst[i] = (x[i] - alpha*o) / sigma
			}
		},
	},
	flowPrediction: { // Lipman et al., arXiv 2210.02747
		denoised: func(dst, x, out []float32, l level) {
			sigma := float32(l.sigma)
			for i, o := range out {
				dst[i] = x[i] - sigma*o
			}
		},
	},
}

// limit keeps a clean sample within the range that the model was trained on.
func (r *run) limit(x []float32) {
	s := r.plan.set
	switch {
	case s.Thresholding:
		r.threshold(x)
	case s.ClipSample:
		most := float32(s.ClipSampleRange)
		for i, v := range x {
			x[i] = min(max(v, -most), most)
		}
	}
}

// threshold is dynamic thresholding: Saharia et al., arXiv 2205.11487, section
// 2.3. The quantile lies on a straight line between two magnitudes.
func (r *run) threshold(x []float32) {
	s := r.plan.set
	for i, v := range x {
		r.sorted[i] = max(v, -v)
	}
	slices.Sort(r.sorted)
	place := s.DynamicThresholdingRatio * float64(len(x)-1)
	i := int(place)
	quantile := r.sorted[i]
	if i+1 < len(x) {
		quantile += float32(place-float64(i)) * (r.sorted[i+1] - quantile)
	}
	most := min(max(quantile, 1), float32(s.SampleMaxValue))
	for i, v := range x {
		x[i] = min(max(v, -most), most) / most
	}
}
