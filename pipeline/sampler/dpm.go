package sampler

import (
	"context"
	"fmt"
	"math"
)

// What the DPM-Solver family, UniPC and DEIS share: plans over noise levels
// whose latents keep their variance (or are those of a rectified flow), and
// the exponential integrator's weights.

// planLevels completes the plan of a class that spaces its timesteps as given.
// Schedules, unlike those of k-diffusion, span all of the training noise
// levels. The timesteps are cut off to integers, those of karras rounded.
func (p *Plan) planLevels(timesteps []float64) error {
	s, steps := p.set, p.options.Steps
	name := s.schedule()
	var sigmas []float64
	switch {
	case name != "":
		high, low := s.bounds(p.table.last(), float64(p.table.sigmas[0]))
		sigmas = scheduled(name, high, low, steps)
		timesteps = p.table.timesteps(sigmas)
	case s.UseLuLambdas: // Lu et al., arXiv 2206.00927, section 3.4: even steps in log sigma
		logs := p.table.logs
		high, low := float64(logs[len(logs)-1]), float64(logs[0])
		sigmas = linspace(0, 1, steps)
		for i, x := range sigmas {
			sigmas[i] = math.Exp(high + x*(low-high))
		}
		timesteps = p.table.timesteps(sigmas)
	case s.UseFlowSigmas:
		sigmas = s.flowSigmas(steps)
		timesteps = make([]float64, steps)
		for i, sigma := range sigmas {
			timesteps[i] = sigma * float64(s.NumTrainTimesteps)
		}
	default:
		sigmas = p.table.atAll(timesteps)
	}
	if name == karras || s.UseLuLambdas {
		if p.method.Class != "DPMSolverMultistepScheduler" || s.BetaSchedule != squaredCos {
			rounded(timesteps)
		}
	}
	for i, t := range timesteps {
		timesteps[i] = math.Trunc(t)
	}
	p.timesteps = timesteps
	p.sigmas = single(append(sigmas, p.finalSigma(sigmas)))
	if s.PredictionType == flowPrediction && !s.UseFlowSigmas {
		return fmt.Errorf("`prediction_type` %q needs `use_flow_sigmas` true", flowPrediction)
	}
	for i, sigma := range p.sigmas {
		// A last step of no length leaves the latent as it is.
		if i > 0 && (sigma > p.sigmas[i-1] || sigma == p.sigmas[i-1] && i < len(sigmas)) {
			return fmt.Errorf("%d steps are too many: noise level %v after step %d is not below the one before it, %v",
				steps, sigma, i, p.sigmas[i-1])
		}
		p.levels = append(p.levels, p.level(sigma))
	}
	p.noised = p.levels[:len(timesteps)]
	p.initial = 1
	return nil
}

// finalSigma is the noise level after the last step.
func (p *Plan) finalSigma(sigmas []float64) float64 {
	last := sigmas[len(sigmas)-1]
	scheduled := p.set.schedule() != "" || p.set.UseFlowSigmas
	switch {
	case p.method.Name == "deis" && scheduled:
		return last // once more: the last step leaves the latent as it is
	case p.method.Name == "unipc" && scheduled && p.set.FinalSigmasType == finalSigmaMin:
		return last
	case p.method.Name == "deis", p.set.FinalSigmasType == finalSigmaMin:
		return float64(p.table.sigmas[0])
	}
	return 0
}

func (p *Plan) level(sigma float64) level {
	if p.set.UseFlowSigmas {
		return level{alpha: 1 - sigma, sigma: sigma, scale: 1}
	}
	return preserving(sigma)
}

// lastTimestep is one more than the last timestep that lambda_min_clipped
// leaves.
func (p *Plan) lastTimestep() (int, error) {
	last := len(p.alphas)
	for last > 0 && lambdaOf(p.alphas[last-1]) < float32(p.set.LambdaMinClipped) {
		last--
	}
	if last == 0 {
		return 0, fmt.Errorf("`lambda_min_clipped` %v leaves no timestep", p.set.LambdaMinClipped)
	}
	return last, nil
}

func lambdaOf(bar float32) float32 { return log32(sqrt32(bar)) - log32(sqrt32(1-bar)) }

// lambda is half the logarithm of the signal-to-noise ratio.
func (l level) lambda() float64 { return math.Log(l.alpha) - math.Log(l.sigma) }

// predictsNoise says whether the solver works on the noise that the network
// predicts rather than on the clean sample.
func (p *Plan) predictsNoise() bool {
	return p.set.AlgorithmType == plain || p.set.AlgorithmType == sde || !p.set.PredictX0
}

// remember asks the network at evaluation i and puts what the solver works on
// at the end of the history.
func (r *run) remember(ctx context.Context, i int, history [][]float32) error {
	if r.plan.predictsNoise() {
		if err := r.predict(ctx, i); err != nil {
			return err
		}
		r.plan.prediction.noise(shift(history), r.x, r.out, r.plan.levels[i])
		return nil
	}
	if err := r.denoise(ctx, i); err != nil {
		return err
	}
	copy(shift(history), r.denoised)
	return nil
}

// dpmWeights are the weights of one step of an exponential integrator of the
// DPM-Solver family over lambda: of the latent, of the prediction d0 and its
// differences d1 and d2, and of fresh noise.
type dpmWeights struct{ x, d0, d1, d2, noise float64 }

// weights of a step from level s to level t. DPM-Solver: Lu et al., arXiv
// 2206.00927; DPM-Solver++ and the SDE forms: arXiv 2211.01095, sections 4 and
// 6 and appendix B. The SDE form's d2 is diffusers': k-diffusion has +.5 there,
// which makes it vanish with h, as it should.
func (p *Plan) weights(t, s level, midpoint bool) dpmWeights {
	h := t.lambda() - s.lambda()
	if h == 0 {
		return dpmWeights{x: 1}
	}
	var w dpmWeights
	var scale float64 // of the prediction
	switch p.set.AlgorithmType {
	case plusPlus:
		phi := math.Expm1(-h)
		w = dpmWeights{x: t.sigma / s.sigma, d0: -phi, d1: phi/h + 1, d2: -((phi+h)/(h*h) - .5)}
		scale = t.alpha
	case plain:
		phi := math.Expm1(h)
		w = dpmWeights{x: t.alpha / s.alpha, d0: -phi, d1: -(phi/h - 1), d2: -((phi-h)/(h*h) - .5)}
		scale = t.sigma
	case sdePlusPlus:
		phi := -math.Expm1(-2 * h)
		w = dpmWeights{x: t.sigma / s.sigma * math.Exp(-h), d0: phi, d1: phi/(-2*h) + 1, d2: (phi-2*h)/(4*h*h) - .5,
			noise: t.sigma * math.Sqrt(phi)}
		scale = t.alpha
	case sde:
		phi := math.Expm1(h)
		w = dpmWeights{x: t.alpha / s.alpha, d0: -2 * phi, d1: -2 * (phi/h - 1),
			noise: t.sigma * math.Sqrt(math.Expm1(2*h))}
		scale = t.sigma
	}
	if midpoint {
		w.d1 = w.d0 / 2
	}
	w.d0, w.d1, w.d2 = w.d0*scale, w.d1*scale, w.d2*scale
	return w
}

// advance takes from, the latent that the step begins with, along the weighted
// sum of predictions to the step's end, and leaves that in x; fresh noise is
// added where the algorithm is a stochastic one. Of the predictions all but the
// first may be nil.
func (r *run) advance(from []float32, w dpmWeights, m0, m1, m2 []float32, a0, a1, a2 float64) {
	x, w0 := float32(w.x), float32(a0)
	for j, m := range m0 {
		r.x[j] = x*from[j] + w0*m
	}
	if m1 != nil {
		w1 := float32(a1)
		for j, m := range m1 {
			r.x[j] += w1 * m
		}
	}
	if m2 != nil {
		w2 := float32(a2)
		for j, m := range m2 {
			r.x[j] += w2 * m
		}
	}
	if r.noise != nil {
		r.addNoise(w.noise)
	}
}
