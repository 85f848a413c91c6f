package sampler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Values of keys that are compared with in more than one place.
const (
	epsilon        = "epsilon"
	vPrediction    = "v_prediction"
	samplePredict  = "sample"
	flowPrediction = "flow_prediction"

	linspaced = "linspace"
	leading   = "leading"
	trailing  = "trailing"

	linear       = "linear"
	scaledLinear = "scaled_linear"
	squaredCos   = "squaredcos_cap_v2"

	karras      = "karras"
	exponential = "exponential"
	beta        = "beta"

	plain       = "dpmsolver"
	plusPlus    = "dpmsolver++"
	sde         = "sde-dpmsolver"
	sdePlusPlus = "sde-dpmsolver++"

	finalZero     = "zero"
	finalSigmaMin = "sigma_min"
)

// settings is a configuration as one scheduler class reads it: the keys of the
// file, and the class's own defaults for the missing ones.
type settings struct {
	NumTrainTimesteps    int       `json:"num_train_timesteps"`
	BetaStart            float64   `json:"beta_start"`
	BetaEnd              float64   `json:"beta_end"`
	BetaSchedule         string    `json:"beta_schedule"`
	TrainedBetas         []float64 `json:"trained_betas"`
	RescaleBetasZeroSNR  bool      `json:"rescale_betas_zero_snr"`
	PredictionType       string    `json:"prediction_type"`
	TimestepSpacing      string    `json:"timestep_spacing"`
	StepsOffset          int       `json:"steps_offset"`
	UseKarrasSigmas      bool      `json:"use_karras_sigmas"`
	UseExponentialSigmas bool      `json:"use_exponential_sigmas"`
	UseBetaSigmas        bool      `json:"use_beta_sigmas"`
	UseLuLambdas         bool      `json:"use_lu_lambdas"`
	UseFlowSigmas        bool      `json:"use_flow_sigmas"`
	FlowShift            float64   `json:"flow_shift"`
	UseDynamicShifting   bool      `json:"use_dynamic_shifting"`
	SigmaMin             *float64  `json:"sigma_min"`
	SigmaMax             *float64  `json:"sigma_max"`
	FinalSigmasType      string    `json:"final_sigmas_type"`
	InterpolationType    string    `json:"interpolation_type"`
	TimestepType         string    `json:"timestep_type"`
	LambdaMinClipped     number    `json:"lambda_min_clipped"`

	ClipSample               bool    `json:"clip_sample"`
	ClipSampleRange          float64 `json:"clip_sample_range"`
	Thresholding             bool    `json:"thresholding"`
	DynamicThresholdingRatio float64 `json:"dynamic_thresholding_ratio"`
	SampleMaxValue           float64 `json:"sample_max_value"`
	VarianceType             string  `json:"variance_type"`
	SetAlphaToOne            bool    `json:"set_alpha_to_one"`
	SkipPRKSteps             bool    `json:"skip_prk_steps"`

	AlgorithmType    string          `json:"algorithm_type"`
	SolverType       string          `json:"solver_type"`
	SolverOrder      int             `json:"solver_order"`
	LowerOrderFinal  bool            `json:"lower_order_final"`
	EulerAtFinal     bool            `json:"euler_at_final"`
	PredictX0        bool            `json:"predict_x0"`
	DisableCorrector []int           `json:"disable_corrector"`
	SolverP          json.RawMessage `json:"solver_p"`

	OriginalInferenceSteps int     `json:"original_inference_steps"`
	TimestepScaling        float64 `json:"timestep_scaling"`
}

// fill sets the fields that keys name. A null leaves the default.
func (s *settings) fill(keys map[string]json.RawMessage) error {
	data, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("scheduler_config.json: %w", err)
	}
	if err := json.Unmarshal(data, s); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return fmt.Errorf("scheduler_config.json: `%s` is a %s, want a value of type %s", wrong.Field, wrong.Value, wrong.Type)
		}
		return fmt.Errorf("scheduler_config.json: %w", err)
	}
	return nil
}

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

// settings reads the configuration as m's scheduler class does, with the
// arguments that m's name stands for, and checks it. A schedule takes the
// place of the one that the file names.
func (c Config) settings(m *method, schedule string) (*settings, error) {
	class := classes[m.Class]
	s := &settings{
		NumTrainTimesteps: 1000, BetaStart: .0001, BetaEnd: .02, BetaSchedule: linear,
		PredictionType: epsilon, TimestepSpacing: linspaced,
		FlowShift: 1, FinalSigmasType: finalZero, InterpolationType: "linear", TimestepType: "discrete",
		LambdaMinClipped: number(math.Inf(-1)),
		ClipSampleRange:  1, DynamicThresholdingRatio: .995, SampleMaxValue: 1,
		SolverOrder: 2, LowerOrderFinal: true, PredictX0: true,
		OriginalInferenceSteps: 50, TimestepScaling: 10,
	}
	if class.defaults != nil {
		class.defaults(s)
	}
	keys := map[string]json.RawMessage{}
	for _, key := range strings.Fields(class.keys) {
		if value, ok := c.keys[key]; ok {
			keys[key] = value
		}
	}
	if err := s.fill(keys); err != nil {
		return nil, err
	}
	if m.settings != nil {
		m.settings(s)
	}
	if schedule != "" {
		s.UseKarrasSigmas, s.UseExponentialSigmas, s.UseBetaSigmas = schedule == karras, schedule == exponential, schedule == beta
		s.UseLuLambdas = false
	}
	for _, value := range []*string{&s.SolverType, &s.AlgorithmType} {
		if translated, ok := class.translate[*value]; ok {
			*value = translated
		}
	}
	if err := s.check(m, class); err != nil {
		return nil, fmt.Errorf("scheduler_config.json for %s: %w", m.Name, err)
	}
	return s, nil
}

// check refuses what the class can't do.
func (s *settings) check(m *method, c class) error {
	algorithms := map[string][]string{
		"DPMSolverMultistepScheduler":  {plain, plusPlus, sde, sdePlusPlus},
		"DPMSolverSinglestepScheduler": {plain, plusPlus, sdePlusPlus},
		"DEISMultistepScheduler":       {"deis"},
	}[m.Class]
	solvers := map[string][]string{
		"DPMSolverMultistepScheduler":  {"midpoint", "heun"},
		"DPMSolverSinglestepScheduler": {"midpoint", "heun"},
		"UniPCMultistepScheduler":      {"bh1", "bh2"},
		"DEISMultistepScheduler":       {"logrho"},
	}[m.Class]
	variances := []string{"", "fixed_small", "fixed_small_log", "fixed_large"}
	return errors.Join(
		within("num_train_timesteps", s.NumTrainTimesteps, 1, 1<<15),
		within("solver_order", s.SolverOrder, 1, 3),
		within("steps_offset", s.StepsOffset, 0, s.NumTrainTimesteps-1),
		oneOf("prediction_type", s.PredictionType, c.predictions),
		oneOf("beta_schedule", s.BetaSchedule, append([]string{linear, scaledLinear, squaredCos}, c.betaSchedules...)),
		oneOf("timestep_spacing", s.TimestepSpacing, []string{linspaced, leading, trailing}),
		oneOf("final_sigmas_type", s.FinalSigmasType, []string{finalZero, finalSigmaMin}),
		oneOf("interpolation_type", s.InterpolationType, []string{"linear", "log_linear"}),
		oneOf("timestep_type", s.TimestepType, []string{"discrete", "continuous"}),
		oneOf("variance_type", s.VarianceType, variances),
		oneOf("algorithm_type", s.AlgorithmType, algorithms),
		oneOf("solver_type", s.SolverType, solvers),
		s.checkBetas(),
		s.checkSigmas(),
		s.checkSolver(m),
		s.checkLimits(),
	)
}

func (s *settings) checkBetas() error {
	if n := len(s.TrainedBetas); n > 0 && n != s.NumTrainTimesteps {
		return fmt.Errorf("`trained_betas` has %d numbers, `num_train_timesteps` is %d", n, s.NumTrainTimesteps)
	}
	for i, b := range s.TrainedBetas {
		if !(b >= 0 && b < 1) {
			return fmt.Errorf("`trained_betas`: number %d is %v, want 0 <= beta < 1", i, b)
		}
	}
	if !(0 < s.BetaStart && s.BetaStart <= s.BetaEnd && s.BetaEnd < 1) {
		return fmt.Errorf("`beta_start` %v and `beta_end` %v, want 0 < start <= end < 1", s.BetaStart, s.BetaEnd)
	}
	return nil
}

func (s *settings) checkSigmas() error {
	var chosen []string
	for _, use := range []struct {
		key string
		on  bool
	}{
		{"use_karras_sigmas", s.UseKarrasSigmas}, {"use_exponential_sigmas", s.UseExponentialSigmas},
		{"use_beta_sigmas", s.UseBetaSigmas}, {"use_lu_lambdas", s.UseLuLambdas}, {"use_flow_sigmas", s.UseFlowSigmas},
	} {
		if use.on {
			chosen = append(chosen, "`"+use.key+"`")
		}
	}
	switch {
	case len(chosen) > 1:
		return fmt.Errorf("%s exclude each other", strings.Join(chosen, " and "))
	case s.UseDynamicShifting:
		return errors.New("`use_dynamic_shifting` true is not supported")
	case !(s.FlowShift > 0):
		return fmt.Errorf("`flow_shift` %v, want more than 0", s.FlowShift)
	}
	for _, bound := range []struct {
		key   string
		value *float64
	}{{"sigma_min", s.SigmaMin}, {"sigma_max", s.SigmaMax}} {
		if v := bound.value; v != nil && !(*v > 0) {
			return fmt.Errorf("`%s` %v, want more than 0", bound.key, *v)
		}
	}
	return nil
}

func (s *settings) checkSolver(m *method) error {
	noisePrediction := s.AlgorithmType == plain || s.AlgorithmType == sde || !s.PredictX0
	switch {
	case (s.AlgorithmType == plain || s.AlgorithmType == sde) && s.FinalSigmasType == finalZero:
		return fmt.Errorf("`algorithm_type` %q needs `final_sigmas_type` %q", s.AlgorithmType, finalSigmaMin)
	case s.AlgorithmType == sde && s.SolverOrder > 2:
		return fmt.Errorf("`algorithm_type` %q has no `solver_order` %d, want 1 or 2", s.AlgorithmType, s.SolverOrder)
	case noisePrediction && s.PredictionType == flowPrediction:
		return fmt.Errorf("`prediction_type` %q needs an algorithm that predicts the clean sample", s.PredictionType)
	case noisePrediction && s.Thresholding:
		return errors.New("`thresholding` true needs an algorithm that predicts the clean sample")
	case m.Name == "unipc" && !s.LowerOrderFinal && s.SolverOrder > 1 && s.FinalSigmasType == finalZero:
		return fmt.Errorf("`lower_order_final` false needs `final_sigmas_type` %q, or it divides by zero", finalSigmaMin)
	case !s.PredictX0 && s.FinalSigmasType == finalZero:
		return fmt.Errorf("`predict_x0` false needs `final_sigmas_type` %q, or it divides by zero", finalSigmaMin)
	case len(s.SolverP) > 0 && string(s.SolverP) != "null":
		return fmt.Errorf("`solver_p` %s is not supported, want null", s.SolverP)
	}
	return nil
}

func (s *settings) checkLimits() error {
	switch {
	case !(s.ClipSampleRange > 0):
		return fmt.Errorf("`clip_sample_range` %v, want more than 0", s.ClipSampleRange)
	case !(s.DynamicThresholdingRatio >= 0 && s.DynamicThresholdingRatio <= 1):
		return fmt.Errorf("`dynamic_thresholding_ratio` %v, want 0 .. 1", s.DynamicThresholdingRatio)
	case !(s.SampleMaxValue >= 1):
		return fmt.Errorf("`sample_max_value` %v, want at least 1", s.SampleMaxValue)
	case s.OriginalInferenceSteps < 1 || s.OriginalInferenceSteps > s.NumTrainTimesteps:
		return fmt.Errorf("`original_inference_steps` %d, want 1 .. %d", s.OriginalInferenceSteps, s.NumTrainTimesteps)
	}
	return nil
}

func within(key string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("`%s` %d, want %d .. %d", key, value, low, high)
	}
	return nil
}

func oneOf(key, value string, allowed []string) error {
	if allowed == nil || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("`%s` %q is not supported, want one of %s", key, value, strings.Join(allowed, ", "))
}
