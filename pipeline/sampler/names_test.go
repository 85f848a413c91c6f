package sampler_test

import (
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

func TestResolve(t *testing.T) {
	for name, want := range map[string]string{
		"Euler a": "euler_ancestral", "Euler": "euler", "LMS": "lms", "Heun": "heun", "DPM2": "dpm_2", "DPM2 a": "dpm_2_ancestral",
		"DPM++ 2M": "dpmpp_2m", "DPM++ SDE": "dpmpp_sde", "DPM++ 2M SDE": "dpmpp_2m_sde", "DPM++ 3M SDE": "dpmpp_3m_sde",
		"DDIM": "ddim", "PLMS": "pndm", "UniPC": "unipc", "LCM": "lcm", "DDPM": "ddpm", "DEIS": "deis",
		"DPM++ 2M Karras": "dpmpp_2m karras", "LMS Karras": "lms karras", "DPM2 a Karras": "dpm_2_ancestral karras",
		"DPM++ 2M SDE Exponential": "dpmpp_2m_sde exponential", "dpm++ 3m sde karras": "dpmpp_3m_sde karras",
		"euler_ancestral": "euler_ancestral", "dpm_2_ancestral": "dpm_2_ancestral", "uni_pc_bh2": "unipc", "dpmpp_2m_sde": "dpmpp_2m_sde",
		"k_euler": "euler", "k_euler_a": "euler_ancestral", "k_heun": "heun", "k_lms": "lms", "k_dpm_2": "dpm_2",
		"k_dpm_2_a": "dpm_2_ancestral", "k_dpmpp_2m": "dpmpp_2m", "k_dpmpp_sde": "dpmpp_sde", "lcm": "lcm",
		"sample_dpmpp_2m": "dpmpp_2m", " pndm ": "pndm",
	} {
		got, schedule, err := sampler.Resolve(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if got := strings.TrimSpace(got + " " + schedule); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, name := range sampler.Names() {
		if got, schedule, err := sampler.Resolve(name); got != name || schedule != "" || err != nil {
			t.Errorf("%q is %q, %q, %v", name, got, schedule, err)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, reason := range map[string]string{
		"DPM++ 2S a":           "ancestral",
		"DPM++ 2S a Karras":    "ancestral",
		"dpmpp_2s_ancestral":   "ancestral",
		"k_dpmpp_2s_a":         "ancestral",
		"DPM++ 2M SDE Heun":    "Heun",
		"Restart":              "no scheduler class",
		"DPM fast":             "no scheduler class",
		"sample_dpm_adaptive":  "no scheduler class",
		"uni_pc":               "bh1",
		"dpmsolver":            "different algorithms",
		"dpmpp_2m_sde_gpu":     "GPU",
		"ipndm":                "not built",
		"eular":                `did you mean "euler"`,
		"Eulr a":               `did you mean "euler_a"`,
		"uni":                  `did you mean "unipc"`,
		"DPM++ 2M Karas":       `did you mean "dpmpp_2m_karras"`,
		"Euler a Karras":       "takes no schedule",
		"":                     "want one of",
		"a beautiful painting": "want one of",
	} {
		if got, _, err := sampler.Resolve(name); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q is %q, %v, want an error with %q", name, got, err, reason)
		}
	}
}

func TestResolveSchedule(t *testing.T) {
	for _, c := range []struct{ sampler, name, want string }{
		{"euler", "", ""}, {"euler", "normal", ""}, {"ddim", "Normal", ""}, {"euler", "Karras", "karras"},
		{"dpmpp_2m", "Automatic", "karras"}, {"dpmpp_2m_sde", "Automatic", "exponential"}, {"euler", "automatic", ""}, {"deis", "beta", "beta"},
	} {
		if got, err := sampler.ResolveSchedule(c.sampler, c.name); got != c.want || err != nil {
			t.Errorf("%s %q is %q, %v, want %q", c.sampler, c.name, got, err, c.want)
		}
	}
	for _, c := range []struct{ sampler, name, reason string }{
		{"euler", "sgm_uniform", "no exact counterpart"}, {"euler", "Align Your Steps", "no exact counterpart"},
		{"ddim", "karras", "takes no schedule"}, {"euler", "karas", "takes no schedule"},
	} {
		if got, err := sampler.ResolveSchedule(c.sampler, c.name); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s %q is %q, %v, want an error with %q", c.sampler, c.name, got, err, c.reason)
		}
	}
}

func TestDescriptions(t *testing.T) {
	if n := len(sampler.Names()); n != 17 {
		t.Errorf("%d samplers, want 17", n)
	}
	for _, name := range sampler.Names() {
		d, ok := sampler.Describe(name)
		if !ok || d.Name != name || d.Class == "" || d.Summary == "" || d.Paper == "" || d.Evaluations < 1 {
			t.Errorf("%s: %+v", name, d)
		}
		if want := 1; !d.Schedules && len(sampler.Schedules(name)) != want {
			t.Errorf("%s takes %q", name, sampler.Schedules(name))
		}
	}
	if _, ok := sampler.Describe("Euler a"); ok {
		t.Error("an alias has a description")
	}
}
