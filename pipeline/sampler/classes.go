package sampler

// Keys that several classes take.
const (
	betaKeys      = "num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type "
	spacingKeys   = "timestep_spacing steps_offset "
	scheduleKeys  = "use_karras_sigmas use_exponential_sigmas use_beta_sigmas "
	flowKeys      = "use_flow_sigmas flow_shift use_dynamic_shifting "
	thresholdKeys = "thresholding dynamic_thresholding_ratio sample_max_value "
	solverKeys    = "solver_order solver_type lower_order_final "
	clipKeys      = "clip_sample clip_sample_range "

	// sigma_min and sigma_max are part of no signature but Euler's, and yet
	// every class with schedules looks for them in its configuration.
	kDiffusionKeys = betaKeys + spacingKeys + scheduleKeys + "sigma_min sigma_max "
)

// class is how one of diffusers' scheduler classes reads a configuration.
type class struct {
	keys          string // the keys that it takes, separated by spaces
	defaults      func(*settings)
	predictions   []string
	betaSchedules []string // beside linear, scaled_linear and squaredcos_cap_v2
	translate     map[string]string
}

var (
	epsilonOrV = []string{epsilon, vPrediction}
	threeKinds = []string{epsilon, samplePredict, vPrediction}
	fourKinds  = []string{epsilon, samplePredict, vPrediction, flowPrediction}

	// The solver types of one class mean its neighbour's default to another.
	asMidpoint = map[string]string{"logrho": "midpoint", "bh1": "midpoint", "bh2": "midpoint", "deis": plusPlus}
	asBH2      = map[string]string{"midpoint": "bh2", "heun": "bh2", "logrho": "bh2"}
	asLogRho   = map[string]string{"midpoint": "logrho", "heun": "logrho", "bh1": "logrho", "bh2": "logrho", plain: "deis", plusPlus: "deis"}
)

var classes = map[string]class{
	"DDIMScheduler": {
		keys:        betaKeys + spacingKeys + thresholdKeys + clipKeys + "set_alpha_to_one rescale_betas_zero_snr",
		defaults:    func(s *settings) { s.TimestepSpacing, s.ClipSample, s.SetAlphaToOne = leading, true, true },
		predictions: threeKinds,
	},
	"DDPMScheduler": {
		keys: betaKeys + spacingKeys + thresholdKeys + clipKeys + "variance_type rescale_betas_zero_snr",
		defaults: func(s *settings) {
			s.TimestepSpacing, s.ClipSample, s.VarianceType = leading, true, "fixed_small"
		},
		predictions: threeKinds, betaSchedules: []string{"sigmoid"},
	},
	"PNDMScheduler": {
		keys:        betaKeys + spacingKeys + "skip_prk_steps set_alpha_to_one",
		defaults:    func(s *settings) { s.TimestepSpacing = leading },
		predictions: epsilonOrV,
	},
	"EulerDiscreteScheduler": {
		keys:        kDiffusionKeys + "interpolation_type timestep_type rescale_betas_zero_snr final_sigmas_type",
		predictions: threeKinds,
	},
	"EulerAncestralDiscreteScheduler": {
		keys:        betaKeys + spacingKeys + "rescale_betas_zero_snr",
		predictions: epsilonOrV,
	},
	"HeunDiscreteScheduler": {
		keys: kDiffusionKeys + clipKeys, defaults: latentBetas,
		predictions: threeKinds, betaSchedules: []string{"exp"},
	},
	"KDPM2DiscreteScheduler":          {keys: kDiffusionKeys, defaults: latentBetas, predictions: epsilonOrV},
	"KDPM2AncestralDiscreteScheduler": {keys: kDiffusionKeys, defaults: latentBetas, predictions: epsilonOrV},
	"DPMSolverSDEScheduler":           {keys: kDiffusionKeys, defaults: latentBetas, predictions: epsilonOrV},
	"LMSDiscreteScheduler":            {keys: kDiffusionKeys, predictions: threeKinds},
	"DPMSolverSinglestepScheduler": {
		keys: betaKeys + scheduleKeys + flowKeys + thresholdKeys + solverKeys +
			"sigma_min sigma_max algorithm_type final_sigmas_type lambda_min_clipped variance_type",
		defaults:    func(s *settings) { s.AlgorithmType, s.SolverType, s.LowerOrderFinal = plusPlus, "midpoint", false },
		predictions: fourKinds, translate: asMidpoint,
	},
	"DPMSolverMultistepScheduler": {
		keys: kDiffusionKeys + flowKeys + thresholdKeys + solverKeys +
			"algorithm_type euler_at_final use_lu_lambdas final_sigmas_type lambda_min_clipped variance_type rescale_betas_zero_snr",
		defaults:    func(s *settings) { s.AlgorithmType, s.SolverType = plusPlus, "midpoint" },
		predictions: fourKinds, translate: asMidpoint,
	},
	"UniPCMultistepScheduler": {
		keys: kDiffusionKeys + flowKeys + thresholdKeys + solverKeys +
			"predict_x0 disable_corrector solver_p final_sigmas_type rescale_betas_zero_snr",
		defaults:    func(s *settings) { s.SolverType = "bh2" },
		predictions: fourKinds, translate: asBH2,
	},
	"DEISMultistepScheduler": {
		keys:        kDiffusionKeys + flowKeys + thresholdKeys + solverKeys + "algorithm_type",
		defaults:    func(s *settings) { s.AlgorithmType, s.SolverType = "deis", "logrho" },
		predictions: fourKinds, translate: asLogRho,
	},
	"LCMScheduler": {
		keys: betaKeys + spacingKeys + thresholdKeys + clipKeys +
			"original_inference_steps set_alpha_to_one timestep_scaling rescale_betas_zero_snr",
		defaults: func(s *settings) {
			latentBetas(s)
			s.BetaSchedule, s.TimestepSpacing, s.SetAlphaToOne = scaledLinear, leading, true
		},
		predictions: threeKinds,
	},
}

// latentBetas are the defaults of the classes that were written for latent
// diffusion.
func latentBetas(s *settings) { s.BetaStart, s.BetaEnd = .00085, .012 }
