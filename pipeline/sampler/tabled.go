package sampler

import (
	"fmt"
	"math"
)

// The plans of the samplers that look up in alphas_cumprod how noisy an integer
// timestep is. Their latents keep their variance.

// tabled completes a plan that has filled in the timesteps.
func tabled(plan func(*Plan) error) func(*Plan) error {
	return func(p *Plan) error {
		steps, train := p.options.Steps, p.set.NumTrainTimesteps
		if steps > train {
			return fmt.Errorf("%d steps, want at most `num_train_timesteps`, %d", steps, train)
		}
		if err := plan(p); err != nil {
			return err
		}
		for i, t := range p.timesteps {
			if t < 0 || int(t) >= train {
				return fmt.Errorf("timestep %v of evaluation %d is none of the %d that the model was trained on (%d steps, `steps_offset` %d)",
					t, i+1, train, steps, p.set.StepsOffset)
			}
			p.levels = append(p.levels, cumulative(p.alphas[int(t)]))
		}
		p.noised = p.levels
		p.initial = 1
		return nil
	}
}

func planSpaced(p *Plan) error {
	timesteps, err := p.set.spaced(p.options.Steps)
	if err != nil {
		return err
	}
	p.timesteps = rounded(timesteps[:p.options.Steps]) // without trailing's surplus -1, which means nothing to a table
	return nil
}

// bar returns alphas_cumprod at a timestep; below 0 it is what the sampler
// takes for a clean sample.
func (p *Plan) bar(timestep int, clean float32) float32 {
	if timestep < 0 {
		return clean
	}
	return p.alphas[timestep]
}

// cleanBar is alphas_cumprod after the last step.
func (p *Plan) cleanBar() float32 {
	if p.set.SetAlphaToOne {
		return 1
	}
	return p.alphas[0]
}

// stride is how many training timesteps a step is taken for.
func (p *Plan) stride() int { return p.set.NumTrainTimesteps / p.options.Steps }

// planLCM picks the timesteps out of those that the model was distilled on.
func planLCM(p *Plan) error {
	steps, original := p.options.Steps, p.set.OriginalInferenceSteps
	stride := p.set.NumTrainTimesteps / original
	if strength := p.options.Strength; strength > 0 {
		original = int(float64(original) * strength)
	}
	if steps > original {
		return fmt.Errorf("%d steps, want at most `original_inference_steps` times strength, %d", steps, original)
	}
	for i := range steps {
		skipped := int(math.Floor(float64(i) * (float64(original) / float64(steps))))
		p.timesteps = append(p.timesteps, float64((original-skipped)*stride-1))
	}
	return nil
}
