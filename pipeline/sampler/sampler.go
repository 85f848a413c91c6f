// Package sampler turns noise into a latent image: noise schedules and the
// samplers that walk down them, as plain loops over []float32.
//
// A [Plan] is a sampler, its schedule and a model's scheduler_config.json put
// together: which timesteps the network is asked about and how noisy the
// latent is there. [Plan.Run] walks through it with a [Denoiser]. What is
// carried from one evaluation of the network to the next is a [State], which
// can be written down after any of them and picked up again to the same bits.
//
// Numbers follow diffusers 0.35.2 on a CPU: with the same network, start noise
// and scheduler_config.json the latent is that of diffusers' scheduler class,
// but for the last bits of a float32. The package knows nothing of prompts,
// guidance or batches.
package sampler

import (
	"context"
	"encoding"
)

// Denoiser is the network, with guidance already applied.
type Denoiser interface {
	// Denoise writes to out what the network predicts for sample at timestep;
	// which of epsilon, v, the clean sample or a flow that is, the model's
	// scheduler_config.json says. The sample is scaled as the network expects
	// it. Timesteps lie between -1 and the number of training timesteps and
	// may be fractional. Both slices are the sampler's: they must not be kept,
	// and sample must not be changed. An error ends the run and is returned.
	Denoise(ctx context.Context, out, sample []float32, timestep float64) error
}

// Noise is a job's one random generator. Samplers draw from it in the order in
// which diffusers does; its place in the stream is part of a [State].
type Noise interface {
	// Normal fills dst with numbers of the standard normal distribution.
	Normal(dst []float32)
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// method is what the package knows of one sampler.
type method struct {
	Description
	settings func(*settings)                   // the arguments that the name stands for, on top of the configuration
	plan     func(*Plan) error                 // fills in timesteps and noise levels
	loop     func(context.Context, *run) error // the sampler itself
	history  func(*settings) int               // how many buffers are carried between evaluations
}

// Description is what a table of samplers shows.
type Description struct {
	Name        string // the project's own name
	Class       string // diffusers' scheduler class
	Summary     string // one line
	Paper       string // where the method was published
	Evaluations int    // of the network, a step; the last step of a second-order sampler takes one less
	Random      bool   // draws noise while it runs (ddim: with an eta above 0)
	Schedules   bool   // takes karras, exponential and beta
}

// Names lists the samplers, from the simplest to the most elaborate.
func Names() []string {
	names := make([]string, len(methods))
	for i := range methods {
		names[i] = methods[i].Name
	}
	return names
}

// Describe returns what is to be said of the sampler called name, and whether
// there is one. It takes the project's own names only; see [Resolve].
func Describe(name string) (Description, bool) {
	if m := lookUp(name); m != nil {
		return m.Description, true
	}
	return Description{}, false
}

// Schedules lists the noise schedules that the sampler called name takes,
// first the empty one: what the model's scheduler_config.json says.
func Schedules(name string) []string {
	m := lookUp(name)
	switch {
	case m == nil:
		return nil
	case !m.Schedules:
		return []string{""}
	}
	return []string{"", karras, exponential, beta}
}

func lookUp(name string) *method {
	for i := range methods {
		if methods[i].Name == name {
			return &methods[i]
		}
	}
	return nil
}

func none(*settings) int { return 0 }

func buffers(n int) func(*settings) int {
	return func(*settings) int { return n }
}

// methods is filled in by hand rather than by each file's init, so that the
// table reads in one place.
var methods = []method{
	{
		Description: Description{Name: "ddim", Class: "DDIMScheduler", Evaluations: 1,
			Summary: "first order, deterministic at eta 0; the long-standing baseline",
			Paper:   "Song, Meng, Ermon: Denoising Diffusion Implicit Models, arXiv 2010.02502"},
		plan: tabled(planSpaced), loop: ddim, history: none,
	},
	{
		Description: Description{Name: "ddpm", Class: "DDPMScheduler", Evaluations: 1, Random: true,
			Summary: "the original ancestral sampler; needs many steps",
			Paper:   "Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, arXiv 2006.11239"},
		plan: tabled(planSpaced), loop: ddpm, history: none,
	},
	{
		Description: Description{Name: "pndm", Class: "PNDMScheduler", Evaluations: 1,
			Summary: "pseudo linear multistep of order four (PLMS); one evaluation more than steps",
			Paper:   "Liu, Ren, Lin, Zhao: Pseudo Numerical Methods for Diffusion Models on Manifolds, arXiv 2202.09778"},
		plan: tabled(planPNDM), loop: pndm, history: buffers(pndmBuffers),
	},
	{
		Description: Description{Name: "euler", Class: "EulerDiscreteScheduler", Evaluations: 1, Schedules: true,
			Summary: "first order, deterministic; quick and dependable",
			Paper:   "Karras, Aittala, Aila, Laine: Elucidating the Design Space of Diffusion-Based Generative Models, arXiv 2206.00364"},
		plan: planEuler, loop: euler, history: none,
	},
	{
		Description: Description{Name: "euler_ancestral", Class: "EulerAncestralDiscreteScheduler", Evaluations: 1, Random: true,
			Summary: "Euler with fresh noise at every step; keeps changing with more steps",
			Paper:   "Katherine Crowson's k-diffusion, after arXiv 2011.13456 and 2206.00364"},
		plan: planEuler, loop: eulerAncestral, history: none,
	},
	{
		Description: Description{Name: "heun", Class: "HeunDiscreteScheduler", Evaluations: 2, Schedules: true,
			Summary: "second order, deterministic; twice the work of Euler a step",
			Paper:   "Karras, Aittala, Aila, Laine: Elucidating the Design Space of Diffusion-Based Generative Models, arXiv 2206.00364, algorithm 1"},
		plan: planHeun, loop: heun, history: buffers(2),
	},
	{
		Description: Description{Name: "dpm_2", Class: "KDPM2DiscreteScheduler", Evaluations: 2, Schedules: true,
			Summary: "second order by the midpoint in log sigma, deterministic",
			Paper:   "after Lu et al.: DPM-Solver, arXiv 2206.00927, and arXiv 2206.00364, algorithm 2"},
		plan: planDPM2, loop: dpm2, history: buffers(1),
	},
	{
		Description: Description{Name: "dpm_2_ancestral", Class: "KDPM2AncestralDiscreteScheduler", Evaluations: 2, Random: true, Schedules: true,
			Summary: "dpm_2 with fresh noise at every step",
			Paper:   "after Lu et al.: DPM-Solver, arXiv 2206.00927, and Katherine Crowson's k-diffusion"},
		plan: planDPM2Ancestral, loop: dpm2Ancestral, history: buffers(1),
	},
	{
		Description: Description{Name: "lms", Class: "LMSDiscreteScheduler", Evaluations: 1, Schedules: true,
			Summary: "linear multistep (Adams-Bashforth) of order four, deterministic",
			Paper:   "Katherine Crowson's k-diffusion; Hairer, Norsett, Wanner: Solving Ordinary Differential Equations I, III.5"},
		plan: planEuler, loop: lms, history: buffers(lmsOrder),
	},
	{
		Description: Description{Name: "dpmpp_2s", Class: "DPMSolverSinglestepScheduler", Evaluations: 1, Schedules: true,
			Summary: "DPM-Solver++ single step; spaces its timesteps evenly whatever the model says",
			Paper:   "Lu et al.: DPM-Solver++, arXiv 2211.01095, algorithm 1"},
		plan: planSinglestep, loop: dpmSinglestep, history: func(s *settings) int { return s.SolverOrder + 1 },
	},
	{
		Description: Description{Name: "dpmpp_2m", Class: "DPMSolverMultistepScheduler", Evaluations: 1, Schedules: true,
			Summary: "DPM-Solver++ multistep, deterministic; good pictures in 20 steps",
			Paper:   "Lu et al.: DPM-Solver++, arXiv 2211.01095, algorithm 2"},
		plan: planMultistep, loop: dpmMultistep, history: func(s *settings) int { return s.SolverOrder },
	},
	{
		Description: Description{Name: "dpmpp_sde", Class: "DPMSolverSDEScheduler", Evaluations: 2, Random: true, Schedules: true,
			Summary: "stochastic DPM-Solver++ with a midpoint; noise from a Brownian path of the job's seed",
			Paper:   "Lu et al.: DPM-Solver++, arXiv 2211.01095, and Katherine Crowson's k-diffusion"},
		plan: planSDE, loop: dpmppSDE, history: buffers(1),
	},
	{
		Description: Description{Name: "dpmpp_2m_sde", Class: "DPMSolverMultistepScheduler", Evaluations: 1, Random: true, Schedules: true,
			Summary: "stochastic DPM-Solver++ multistep",
			Paper:   "Lu et al.: DPM-Solver++, arXiv 2211.01095"},
		settings: func(s *settings) { s.AlgorithmType = sdePlusPlus },
		plan:     planMultistep, loop: dpmMultistep, history: func(s *settings) int { return s.SolverOrder },
	},
	{
		Description: Description{Name: "dpmpp_3m_sde", Class: "DPMSolverMultistepScheduler", Evaluations: 1, Random: true, Schedules: true,
			Summary: "stochastic DPM-Solver++ multistep of order three",
			Paper:   "Lu et al.: DPM-Solver++, arXiv 2211.01095"},
		settings: func(s *settings) { s.AlgorithmType, s.SolverOrder = sdePlusPlus, 3 },
		plan:     planMultistep, loop: dpmMultistep, history: func(s *settings) int { return s.SolverOrder },
	},
	{
		Description: Description{Name: "unipc", Class: "UniPCMultistepScheduler", Evaluations: 1, Schedules: true,
			Summary: "predictor and corrector of one family, deterministic; good at few steps",
			Paper:   "Zhao et al.: UniPC, arXiv 2302.04867"},
		plan: planUnclipped, loop: unipc, history: func(s *settings) int { return s.SolverOrder + 1 },
	},
	{
		Description: Description{Name: "deis", Class: "DEISMultistepScheduler", Evaluations: 1, Schedules: true,
			Summary: "exponential integrator, multistep in log rho, deterministic",
			Paper:   "Zhang, Chen: Fast Sampling of Diffusion Models with Exponential Integrator, arXiv 2204.13902"},
		plan: planUnclipped, loop: deis, history: func(s *settings) int { return s.SolverOrder },
	},
	{
		Description: Description{Name: "lcm", Class: "LCMScheduler", Evaluations: 1, Random: true,
			Summary: "for latent consistency models: four steps",
			Paper:   "Luo et al.: Latent Consistency Models, arXiv 2310.04378"},
		plan: tabled(planLCM), loop: lcm, history: none,
	},
}
