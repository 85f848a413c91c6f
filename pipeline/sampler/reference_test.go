package sampler_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// TestReferenceSums runs the loops of diffusers' own tests, whose results its
// test suite gives as the sum and the mean of the sample's magnitudes: a
// network that returns x*t/(t+1), ten steps, betas from .0001 to .02.
func TestReferenceSums(t *testing.T) {
	const (
		linear   = `"beta_start": 0.0001, "beta_end": 0.02`
		longer   = linear + `, "num_train_timesteps": 1100`
		solver   = linear + `, "final_sigmas_type": "sigma_min", "lower_order_final": false`
		v        = `, "prediction_type": "v_prediction"`
		lighter  = `, "beta_start": 0.01`
		toOne    = `, "set_alpha_to_one": true`
		notToOne = `, "set_alpha_to_one": false`
	)
	for _, c := range []struct {
		name, schedule, config string
		steps                  int
		sum, mean              float64
	}{
		{"ddpm", "", linear, 1000, 258.9606, .3372},
		{"ddpm", "", linear + v, 1000, 202.0296, .2631},
		{"ddim", "", linear, 10, 172.0067, .223967},
		{"ddim", "", linear + v, 10, 52.5302, .0684},
		{"ddim", "", linear + lighter + toOne, 10, 149.8295, .1951},
		{"ddim", "", linear + lighter + notToOne, 10, 149.0784, .1941},
		{"pndm", "", linear, 10, 198.1318, .2580},
		{"pndm", "", linear + v, 10, 67.3986, .0878},
		{"lms", "", longer, 10, 1006.388, 1.31},
		{"lms", "", longer + v, 10, .0017, 2.2676e-06},
		{"lms", "karras", longer, 10, 3812.9927, 4.9648},
		{"euler", "", longer, 10, 10.0807, .0131},
		{"euler", "", longer + v, 10, .0002, 2.2676e-06},
		{"euler", "karras", longer, 10, 124.52299, .16213},
		{"euler_ancestral", "", longer, 10, 152.3192, .1983},
		{"euler_ancestral", "", longer + v, 10, 108.4439, .1412},
		{"heun", "", longer, 10, .1233, .0002},
		{"heun", "", longer + v, 10, 4.6934e-07, 6.1112e-10},
		{"heun", "karras", longer, 10, .00015, 1.9869554e-07},
		{"dpm_2", "", longer, 10, 20.4125, .0266},
		{"dpm_2", "", longer + v, 10, 4.6934e-07, 6.1112e-10},
		{"dpm_2_ancestral", "", longer, 10, 13979.9433, 18.2031},
		{"dpm_2_ancestral", "", longer + v, 10, 331.8133, .4320},
		{"dpmpp_2m", "", solver, 10, 0, .3301},
		{"dpmpp_2m", "", solver + v, 10, 0, .2251},
		{"dpmpp_2m", "karras", solver + v, 10, 0, .2096},
		{"dpmpp_2s", "", solver, 10, 0, .2791},
		{"dpmpp_2s", "", solver + v, 10, 0, .1453},
		{"dpmpp_2s", "karras", solver, 10, 0, .2248},
		{"unipc", "", linear + `, "final_sigmas_type": "sigma_min"`, 10, 0, .2464},
		{"unipc", "", linear + `, "final_sigmas_type": "sigma_min"` + v, 10, 0, .1014},
		{"unipc", "karras", linear + `, "final_sigmas_type": "sigma_min"`, 10, 0, .2925},
		{"deis", "", linear, 10, 0, .23916},
		{"deis", "", linear + v, 10, 0, .091},
		{"lcm", "", `"num_train_timesteps": 1000`, 1, 18.7097, .0244},
		{"lcm", "", `"num_train_timesteps": 1000`, 10, 197.7616, .2575},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s/%d", c.name, c.schedule, c.config, c.steps), func(t *testing.T) {
			config, err := sampler.ParseConfig([]byte("{" + c.config + "}"))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := sampler.New(c.name, c.schedule, config, sampler.Options{Steps: c.steps})
			if err != nil {
				t.Fatal(err)
			}
			sum, mean := magnitudes(referenceRun(t, plan))
			t.Logf("sum %.7g, mean %.7g", sum, mean)
			if c.sum != 0 && math.Abs(sum-c.sum) > 1e-2 {
				t.Errorf("sum %v, want %v", sum, c.sum)
			}
			if math.Abs(mean-c.mean) > 1e-3 {
				t.Errorf("mean %v, want %v", mean, c.mean)
			}
		})
	}
}

// network returns x*t/(t+1). Those tests hand the scaled sample on to the
// scheduler's step, which the state stands for here.
type network struct{ state *sampler.State }

func (n network) Denoise(_ context.Context, out, sample []float32, timestep float64) error {
	copy(n.state.X, sample)
	for i, x := range sample {
		out[i] = x * float32(timestep/(timestep+1))
	}
	return nil
}

func referenceRun(t *testing.T, plan *sampler.Plan) []float32 {
	t.Helper()
	const batch, channels, height, width = 4, 3, 8, 8
	x := make([]float32, batch*channels*height*width)
	at := 0
	for b := range batch {
		for chw := range channels * height * width {
			x[at] = float32(float64(chw*batch+b) / float64(len(x)) * plan.InitNoiseSigma())
			at++
		}
	}
	state := plan.Begin(x, 0, noise.New(0))
	if err := plan.Run(t.Context(), state, network{state}, nil); err != nil {
		t.Fatal(err)
	}
	return state.X
}

func magnitudes(x []float32) (sum, mean float64) {
	for _, v := range x {
		sum += math.Abs(float64(v))
	}
	return sum, sum / float64(len(x))
}
