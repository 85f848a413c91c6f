package sampler_test

import (
	"context"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// fading is a network that takes a third of every sample for noise.
type fading struct{}

func (fading) Denoise(_ context.Context, out, sample []float32, _ float64) error {
	for i, x := range sample {
		out[i] = x / 3
	}
	return nil
}

func Example() {
	config, err := sampler.ParseConfig([]byte(`{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}`))
	if err != nil {
		panic(err)
	}
	name, schedule, err := sampler.Resolve("DPM++ 2M Karras")
	if err != nil {
		panic(err)
	}
	plan, err := sampler.New(name, schedule, config, sampler.Options{Steps: 4})
	if err != nil {
		panic(err)
	}

	generator := noise.New(42)
	latent := make([]float32, 4*8*8)
	generator.Normal(latent)
	for i := range latent {
		latent[i] *= float32(plan.InitNoiseSigma())
	}
	state := plan.Begin(latent, 0, generator)
	err = plan.Run(context.Background(), state, fading{}, func(done int) error {
		fmt.Printf("%d of %d, at timestep %v\n", done, plan.Evaluations(), plan.Timestep(done-1))
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 of 4, at timestep 999
	// 2 of 4, at timestep 687
	// 3 of 4, at timestep 146
	// 4 of 4, at timestep 0
	// <nil>
}
