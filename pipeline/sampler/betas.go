package sampler

import "math"

// alphasCumprod returns the product of 1-beta up to each training timestep:
// how much of the clean sample's power is left there. Single precision, and
// rounded where torch rounds, for timesteps hang on the last bits.
func (s *settings) alphasCumprod() []float32 {
	betas := s.betas()
	if s.RescaleBetasZeroSNR {
		betas = rescaleZeroTerminalSNR(betas)
	}
	return cumulated(betas)
}

func (s *settings) betas() []float32 {
	n := s.NumTrainTimesteps
	if len(s.TrainedBetas) > 0 {
		betas := make([]float32, n)
		for i, b := range s.TrainedBetas {
			betas[i] = float32(b)
		}
		return betas
	}
	switch s.BetaSchedule {
	case scaledLinear:
		betas := linspace32(math.Sqrt(s.BetaStart), math.Sqrt(s.BetaEnd), n)
		for i, b := range betas {
			betas[i] = b * b
		}
		return betas
	case squaredCos: // Nichol, Dhariwal, arXiv 2102.09672, equation 17
		return betasForAlphaBar(n, func(t float64) float64 {
			return math.Pow(math.Cos((t+.008)/1.008*math.Pi/2), 2)
		})
	case "exp":
		return betasForAlphaBar(n, func(t float64) float64 { return math.Exp(-12 * t) })
	case "sigmoid":
		betas := linspace32(-6, 6, n)
		for i, b := range betas {
			betas[i] = float32(1/(1+math.Exp(-float64(b))))*float32(s.BetaEnd-s.BetaStart) + float32(s.BetaStart)
		}
		return betas
	default:
		return linspace32(s.BetaStart, s.BetaEnd, n)
	}
}

func betasForAlphaBar(n int, alphaBar func(t float64) float64) []float32 {
	betas := make([]float32, n)
	for i := range betas {
		t1, t2 := float64(i)/float64(n), float64(i+1)/float64(n)
		betas[i] = float32(min(1-alphaBar(t2)/alphaBar(t1), .999))
	}
	return betas
}

// rescaleZeroTerminalSNR shifts the schedule so that nothing of the clean
// sample is left at the last timestep: Lin et al., Common Diffusion Noise
// Schedules and Sample Steps are Flawed, arXiv 2305.08891, algorithm 1.
func rescaleZeroTerminalSNR(betas []float32) []float32 {
	roots := cumulated(betas)
	for i, a := range roots {
		roots[i] = sqrt32(a)
	}
	first, last := roots[0], roots[len(roots)-1]
	scale := first / (first - last)
	rescaled := make([]float32, len(betas))
	before := float32(1)
	for i, root := range roots {
		root = (root - last) * scale
		bar := root * root
		rescaled[i] = 1 - bar/before
		before = bar
	}
	return rescaled
}

// cumulated returns the running product of 1-beta. torch keeps it in double
// precision and rounds every element.
func cumulated(betas []float32) []float32 {
	bars := make([]float32, len(betas))
	product := 1.
	for i, b := range betas {
		product *= float64(1 - b)
		bars[i] = float32(product)
	}
	return bars
}

// linspace32 is torch.linspace in single precision: from both ends towards the
// middle.
func linspace32(start, end float64, n int) []float32 {
	a, b := float32(start), float32(end)
	x := make([]float32, n)
	if n == 1 {
		x[0] = a
		return x
	}
	step := (b - a) / float32(n-1)
	for i := range x {
		if i < n/2 {
			x[i] = fma32(step, float32(i), a)
		} else {
			x[i] = fma32(-step, float32(n-1-i), b)
		}
	}
	return x
}

// fma32 returns a*b+c with one rounding: the product is exact in a float64.
func fma32(a, b, c float32) float32 {
	return float32(float64(a)*float64(b) + float64(c))
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
func exp32(x float32) float32  { return float32(math.Exp(float64(x))) }
func log32(x float32) float32  { return float32(math.Log(float64(x))) }
