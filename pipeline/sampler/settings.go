package sampler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	// The model's own class has read the file before: what it takes a value
	// for is what it hands on.
	for _, reader := range []map[string]string{classes[c.class].translate, class.translate} {
		for _, value := range []*string{&s.SolverType, &s.AlgorithmType} {
			if translated, ok := reader[*value]; ok {
				*value = translated
			}
		}
	}
	if err := s.check(m, class); err != nil {
		return nil, fmt.Errorf("scheduler_config.json for %s: %w", m.Name, err)
	}
	return s, nil
}
