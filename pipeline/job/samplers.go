package job

import (
	"errors"
	"maps"
	"slices"
)

var (
	schedules = []string{"karras", "exponential", "beta"}
	builtin   = map[string][]string{
		"ddpm": nil, "ddim": nil, "pndm": nil, "euler_ancestral": nil, "lcm": nil,
		"lms": schedules, "euler": schedules, "heun": schedules, "dpm_2": schedules, "dpm_2_ancestral": schedules,
		"dpmpp_2m": schedules, "dpmpp_2m_sde": schedules, "dpmpp_3m_sde": schedules, "dpmpp_sde": schedules,
		"dpmpp_2s": schedules, "unipc": schedules, "deis": schedules,
	}
)

func resolveSampler(name string) (sampler, schedule string, err error) {
	if _, ok := builtin[name]; !ok {
		return "", "", errors.New("unknown name")
	}
	return name, "", nil
}

func samplerNames() []string                { return slices.Sorted(maps.Keys(builtin)) }
func samplerSchedules(name string) []string { return builtin[name] }
