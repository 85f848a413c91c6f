package sampler

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// noiseTable is how noisy a sample is at each training timestep.
type noiseTable struct {
	sigmas []float32 // of a sample whose clean part is not scaled down
	logs   []float32
}

func newNoiseTable(alphas []float32) noiseTable {
	t := noiseTable{make([]float32, len(alphas)), make([]float32, len(alphas))}
	for i, a := range alphas {
		t.sigmas[i] = sqrt32((1 - a) / a)
		t.logs[i] = numpyLog(t.sigmas[i])
	}
	return t
}

// at returns sigma at a fractional timestep, between its neighbours' on a
// straight line.
func (t noiseTable) at(timestep float64) float64 {
	last := len(t.sigmas) - 1
	switch {
	case timestep <= 0:
		return float64(t.sigmas[0])
	case timestep >= float64(last):
		return float64(t.sigmas[last])
	}
	i := int(timestep)
	low, high := float64(t.sigmas[i]), float64(t.sigmas[i+1])
	return (high-low)*(timestep-float64(i)) + low
}

func (t noiseTable) atAll(timesteps []float64) []float64 {
	sigmas := make([]float64, len(timesteps))
	for i, timestep := range timesteps {
		sigmas[i] = t.at(timestep)
	}
	return sigmas
}

// timestep is the inverse of at, but with straight lines in the logarithm of
// sigma.
func (t noiseTable) timestep(sigma float64) float64 {
	log := math.Log(max(sigma, 1e-10))
	low := 0
	for i, l := range t.logs {
		if log >= float64(l) {
			low = i
		}
	}
	low = max(min(low, len(t.logs)-2), 0)
	high := min(low+1, len(t.logs)-1)
	below, above := float64(t.logs[low]), float64(t.logs[high])
	w := min(max((below-log)/(below-above), 0), 1)
	return (1-w)*float64(low) + w*float64(high)
}

func (t noiseTable) timesteps(sigmas []float64) []float64 {
	timesteps := make([]float64, len(sigmas))
	for i, sigma := range sigmas {
		timesteps[i] = t.timestep(sigma)
	}
	return timesteps
}

func (t noiseTable) last() float64 { return float64(t.sigmas[len(t.sigmas)-1]) }

// schedule is the name of the schedule that takes the place of the timesteps'
// own noise levels, or empty.
func (s *settings) schedule() string {
	switch {
	case s.UseKarrasSigmas:
		return karras
	case s.UseExponentialSigmas:
		return exponential
	case s.UseBetaSigmas:
		return beta
	}
	return ""
}

// scheduled returns n noise levels from high to low of the named schedule.
func scheduled(name string, high, low float64, n int) []float64 {
	switch name {
	case karras: // Karras et al., arXiv 2206.00364, equation 5
		const rho = 7
		top, bottom := math.Pow(high, 1./rho), math.Pow(low, 1./rho)
		sigmas := linspace(0, 1, n)
		for i, x := range sigmas {
			sigmas[i] = math.Pow(top+x*(bottom-top), rho)
		}
		return sigmas
	case exponential:
		sigmas := linspace(math.Log(high), math.Log(low), n)
		for i, x := range sigmas {
			sigmas[i] = math.Exp(x)
		}
		return sigmas
	default: // Lee et al., Beta Sampling is All You Need, arXiv 2407.12173
		sigmas := linspace(0, 1, n)
		for i, x := range sigmas {
			sigmas[i] = low + mathext.InvRegIncBeta(.6, .6, 1-x)*(high-low)
		}
		return sigmas
	}
}

// bounds puts the configuration's sigma_max and sigma_min, where it has them,
// in the place of a schedule's own.
func (s *settings) bounds(high, low float64) (float64, float64) {
	if s.SigmaMax != nil {
		high = *s.SigmaMax
	}
	if s.SigmaMin != nil {
		low = *s.SigmaMin
	}
	return high, low
}

// flowSigmas returns n noise levels of a rectified flow, shifted towards noise:
// Esser et al., arXiv 2403.03206, equation 23.
func (s *settings) flowSigmas(n int) []float64 {
	sigmas := linspace(1, 1/float64(s.NumTrainTimesteps), n+1)
	for i, alpha := range sigmas {
		sigma := 1 - alpha
		sigmas[i] = s.FlowShift * sigma / (1 + (s.FlowShift-1)*sigma)
	}
	slices.Reverse(sigmas)
	return sigmas[:n]
}

// numpyLog is numpy's vectorised natural logarithm of a float32. Some classes
// cut timesteps off to integers, and whether a schedule starts at timestep 999
// or 998 hangs on this function's last bit.
func numpyLog(x float32) float32 {
	fraction, exponent := math.Frexp(float64(x))
	m := float32(fraction)
	if m <= math.Sqrt2/2 {
		m += m
		exponent--
	}
	m--
	p := [...]float32{2.589979117907922693523e-2, 3.808837741388407920751e-1, 1.480000633576506585156, 2.112677543073053063722, 9.999999999999998702752e-1, 0}
	q := [...]float32{5.875095403124574342950e-3, 1.546476374983906719538e-1, 9.864942958519418960339e-1, 2.453006071784736363091, 2.612677543073109236779, 1}
	above, below := p[0], q[0]
	for i := 1; i < len(p); i++ {
		above, below = fma32(above, m, p[i]), fma32(below, m, q[i])
	}
	return fma32(float32(exponent), math.Ln2, above/below)
}
