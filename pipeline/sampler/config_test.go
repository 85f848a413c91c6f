package sampler_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

func parse(t *testing.T, text string) sampler.Config {
	t.Helper()
	config, err := sampler.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func first(t *testing.T, name, text string, steps int) float64 {
	t.Helper()
	plan, err := sampler.New(name, "", parse(t, text), sampler.Options{Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Timestep(0)
}

// TestMissingKeys holds what is said of the classes' own defaults, and of what
// "leading" means to each.
func TestMissingKeys(t *testing.T) {
	const sd15 = `{"_class_name": "PNDMScheduler", "steps_offset": 1, "skip_prk_steps": true, "clip_sample": false}`
	const leading = `{"timestep_spacing": "leading", "steps_offset": 1, "skip_prk_steps": true}`
	for _, c := range []struct {
		name, config string
		steps        int
		want         float64
	}{
		{"ddim", sd15, 7, 853}, {"pndm", sd15, 7, 853}, {"euler", sd15, 7, 999}, {"dpmpp_2m", sd15, 7, 999}, {"lcm", sd15, 7, 999},
		{"euler", leading, 7, 853}, {"heun", leading, 7, 853}, {"lms", leading, 7, 853}, {"dpm_2", leading, 7, 853},
		{"dpmpp_2m", leading, 7, 876}, {"unipc", leading, 7, 876}, {"deis", leading, 7, 876}, {"dpmpp_2s", leading, 7, 999},
		{"euler", leading, 1, 1}, {"ddim", leading, 1, 1}, {"pndm", leading, 1, 1},
		{"dpmpp_2m", leading, 1, 501}, {"unipc", leading, 1, 501}, {"deis", leading, 1, 501},
		{"dpmpp_2s", leading, 1, 999}, {"lcm", leading, 1, 999},
	} {
		if got := first(t, c.name, c.config, c.steps); got != c.want {
			t.Errorf("%s in %d steps starts at %v, want %v (%s)", c.name, c.steps, got, c.want, c.config)
		}
	}
}

// TestLCMStrength holds timesteps of diffusers' LCMScheduler with a strength.
func TestLCMStrength(t *testing.T) {
	for _, c := range []struct {
		steps    int
		strength float64
		want     []float64
	}{
		{4, .5, []float64{499, 379, 259, 139}},
		{3, .8, []float64{799, 539, 279}},
		{4, .33, []float64{319, 239, 159, 79}},
		{1, .8, []float64{799}},
	} {
		plan, err := sampler.New("lcm", "", parse(t, `{}`), sampler.Options{Steps: c.steps, Strength: c.strength})
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		for i := range plan.Evaluations() {
			got = append(got, plan.Timestep(i))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d steps of strength %v: %v, want %v", c.steps, c.strength, got, c.want)
		}
	}
}

func TestConfigSampler(t *testing.T) {
	for config, want := range map[string]string{
		`{"_class_name": "PNDMScheduler"}`:          "pndm",
		`{"_class_name": "EulerDiscreteScheduler"}`: "euler",
		`{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++", "lambda_min_clipped": -Infinity}`: "dpmpp_2m",
		`{"_class_name": "DPMSolverMultistepScheduler"}`:                                                                   "dpmpp_2m",
		`{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}`:                              "dpmpp_2m_sde",
		`{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 3}`:           "dpmpp_3m_sde",
		`{"_class_name": "DPMSolverSinglestepScheduler"}`:                                                                  "dpmpp_2s",
		`{"_class_name": "LCMScheduler"}`:                                                                                  "lcm",
	} {
		if got, err := parse(t, config).Sampler(); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", config, got, err, want)
		}
	}
	for _, config := range []string{`{}`, `{"_class_name": "TCDScheduler"}`} {
		if got, err := parse(t, config).Sampler(); err == nil {
			t.Errorf("%s: %q", config, got)
		}
	}
	if n := len(sampler.Classes()); n != 15 {
		t.Errorf("%d classes, want 15", n)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for text, reason := range map[string]string{
		``:                                  "EOF",
		`[]`:                                "array",
		`{} {}`:                             "more after",
		`{"steps_offset": "one"}`:           "`steps_offset` is a string",
		`{"clip_sample": 3}`:                "`clip_sample` is a number",
		`{"trained_betas": [0.1, "x"]}`:     "trained_betas",
		`{"_class_name": 4}`:                "`_class_name` is 4",
		`{"_use_default_values": "x"}`:      "`_use_default_values`",
		`{"lambda_min_clipped": "minimum"}`: "lambda_min_clipped",
	} {
		if _, err := sampler.ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want an error with %q", text, err, reason)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name, schedule, config string
		steps                  int
		eta                    float64
		reason                 string
	}{
		{"eular", "", `{}`, 5, 0, `did you mean "euler"`},
		{"ddim", "karras", `{}`, 5, 0, "takes no schedule"},
		{"euler", "", `{}`, 0, 0, "0 steps, want 1 .. 1000"},
		{"euler", "", `{}`, 1001, 0, "1001 steps"},
		{"ddim", "", `{}`, 5, 1.5, "eta 1.5"},
		{"ddim", "", `{"num_train_timesteps": 10}`, 11, 0, "at most `num_train_timesteps`, 10"},
		{"ddim", "", `{"steps_offset": 1}`, 1000, 0, "`steps_offset` 1"},
		{"lcm", "", `{}`, 51, 0, "`original_inference_steps` times strength, 50"},
		{"pndm", "", `{}`, 3, 0, "at least 4"},
		{"euler", "", `{"beta_schedule": "quadratic"}`, 5, 0, "`beta_schedule` \"quadratic\""},
		{"euler", "", `{"prediction_type": "flow_prediction"}`, 5, 0, "`prediction_type` \"flow_prediction\""},
		{"dpmpp_2m", "", `{"prediction_type": "flow_prediction"}`, 5, 0, "`use_flow_sigmas`"},
		{"euler", "", `{"timestep_spacing": "sideways"}`, 5, 0, "linspace, leading, trailing"},
		{"euler", "", `{"use_karras_sigmas": true, "use_beta_sigmas": true}`, 5, 0, "exclude each other"},
		{"dpmpp_2m", "karras", `{"use_flow_sigmas": true}`, 5, 0, "exclude each other"},
		{"euler", "", `{"beta_start": 0.5, "beta_end": 0.1}`, 5, 0, "`beta_start` 0.5"},
		{"euler", "", `{"trained_betas": [0.1, 0.2]}`, 5, 0, "`trained_betas` has 2"},
		{"dpmpp_2m", "", `{"solver_order": 4}`, 5, 0, "`solver_order` 4"},
		{"dpmpp_2m", "", `{"use_dynamic_shifting": true}`, 5, 0, "`use_dynamic_shifting` true"},
		{"unipc", "", `{"solver_p": {"_class_name": "x"}}`, 5, 0, "`solver_p`"},
		{"ddpm", "", `{"variance_type": "learned_range"}`, 5, 0, "`variance_type` \"learned_range\""},
		{"dpmpp_2m", "", `{"timestep_spacing": "leading"}`, 1000, 0, "1000 steps"},
		{"dpmpp_2m", "", `{"num_train_timesteps": 10}`, 30, 0, "30 steps are too many"},
	} {
		plan, err := sampler.New(c.name, c.schedule, parse(t, c.config), sampler.Options{Steps: c.steps, Eta: c.eta})
		if err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s %s %s: %v, %v, want an error with %q", c.name, c.schedule, c.config, plan, err, c.reason)
		}
	}
}

// TestPipelinePatches holds what diffusers' pipelines do to a configuration.
func TestPipelinePatches(t *testing.T) {
	const leading = `{"timestep_spacing": "leading", "steps_offset": 0`
	start := func(config sampler.Config) float64 {
		plan, err := sampler.New("ddim", "", config, sampler.Options{Steps: 10})
		if err != nil {
			t.Fatal(err)
		}
		return plan.Timestep(0)
	}
	if got := start(parse(t, leading+"}")); got != 900 {
		t.Errorf("starts at %v, want 900", got)
	}
	if got := start(parse(t, leading+"}").StableDiffusion()); got != 901 {
		t.Errorf("patched, starts at %v, want 901", got)
	}
	if got := start(parse(t, "{}").StableDiffusion()); got != 900 {
		t.Errorf("patched without the key, starts at %v, want 900", got)
	}
	if got := start(parse(t, leading+`, "_use_default_values": ["steps_offset"]}`).StableDiffusion()); got != 900 {
		t.Errorf("patched with the default filled in, starts at %v, want 900", got)
	}
	plan, err := sampler.New("pndm", "", parse(t, `{"skip_prk_steps": false}`).StableDiffusionInpaint(), sampler.Options{Steps: 10})
	if err != nil || plan.Evaluations() != 11 {
		t.Errorf("%v evaluations, %v, want 11", plan.Evaluations(), err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"lambda_min_clipped": -Infinity, "_class_name": "a\"Infinity", "beta_start": 1e-3}`), 7)
	f.Add([]byte(`{"trained_betas": [0.5, NaN], "solver_order": null}`), 1)
	f.Fuzz(func(t *testing.T, data []byte, steps int) {
		config, err := sampler.ParseConfig(data)
		if err != nil {
			return
		}
		for _, name := range sampler.Names() {
			plan, err := sampler.New(name, "", config, sampler.Options{Steps: steps % 50})
			if err == nil && plan.Evaluations() < 1 {
				t.Errorf("%s: no evaluations", name)
			}
		}
	})
}
