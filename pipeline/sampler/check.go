package sampler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

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
		within("num_train_timesteps", s.NumTrainTimesteps, 2, 1<<15),
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
		s.checkLimits(m),
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

func (s *settings) checkLimits(m *method) error {
	switch {
	case !(s.ClipSampleRange > 0):
		return fmt.Errorf("`clip_sample_range` %v, want more than 0", s.ClipSampleRange)
	case !(s.DynamicThresholdingRatio >= 0 && s.DynamicThresholdingRatio <= 1):
		return fmt.Errorf("`dynamic_thresholding_ratio` %v, want 0 .. 1", s.DynamicThresholdingRatio)
	case !(s.SampleMaxValue >= 1):
		return fmt.Errorf("`sample_max_value` %v, want at least 1", s.SampleMaxValue)
	case m.Name == "lcm" && (s.OriginalInferenceSteps < 1 || s.OriginalInferenceSteps > s.NumTrainTimesteps):
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
