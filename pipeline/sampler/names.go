package sampler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/spelling"
)

// Resolve returns the sampler and the schedule that a name stands for: the
// project's own names, and those of A1111, ComfyUI, k-diffusion and the AI
// Horde whose algorithm is that of one of diffusers' scheduler classes, with
// an optional " Karras" or " Exponential" at the end. Case, spaces and
// underscores don't matter. Other known names are refused with the reason,
// never taken for a neighbour; for an unknown one the nearest is named.
func Resolve(name string) (sampler, schedule string, err error) {
	folded := fold(name)
	for _, end := range []string{karras, exponential, beta} {
		if bare, ok := strings.CutSuffix(folded, "_"+end); ok {
			folded, schedule = bare, end
			break
		}
	}
	folded = strings.TrimPrefix(strings.TrimPrefix(folded, "sample_"), "k_") // k-diffusion's functions, the Horde's names
	if reason, ok := refused[folded]; ok {
		return "", "", fmt.Errorf("%q: %s", name, reason)
	}
	sampler = folded
	if own, ok := aliases[folded]; ok {
		sampler = own
	}
	if lookUp(sampler) == nil {
		return "", "", unknown(name)
	}
	if schedule, err = ResolveSchedule(sampler, schedule); err != nil {
		return "", "", fmt.Errorf("%q: %w", name, err)
	}
	return sampler, schedule, nil
}

// ResolveSchedule returns the schedule that a name stands for with a sampler:
// one of [Schedules]. "normal" is the empty one; A1111's "Automatic" is what
// A1111 takes for that sampler.
func ResolveSchedule(sampler, name string) (string, error) {
	schedule := fold(name)
	switch schedule {
	case "normal":
		schedule = ""
	case "automatic":
		schedule = automatic[sampler]
	case "sgm_uniform", "simple", "ddim_uniform", "linear_quadratic", "kl_optimal", "polyexponential", "uniform", "align_your_steps", "turbo", "ddim":
		return "", fmt.Errorf("schedule %q has no exact counterpart among diffusers' schedules, want %s", name, listed(Schedules(sampler)))
	}
	if !slices.Contains(Schedules(sampler), schedule) {
		return "", fmt.Errorf("%s takes no schedule %q, want %s", sampler, name, listed(Schedules(sampler)))
	}
	return schedule, nil
}

func listed(schedules []string) string {
	if len(schedules) < 2 {
		return `none, or "normal"`
	}
	return `none, "normal" or one of ` + strings.Join(schedules[1:], ", ")
}

// fold makes names that people take for the same the same: "DPM++ 2M" and
// "dpmpp_2m".
func fold(name string) string {
	return strings.Trim(folder.Replace(strings.ToLower(strings.TrimSpace(name))), "_")
}

var folder = strings.NewReplacer("++", "pp", " ", "_", "-", "_")

// aliases are the folded names that others have for the project's samplers.
var aliases = map[string]string{
	"euler_a":        "euler_ancestral",
	"dpm2":           "dpm_2",
	"dpm2_a":         "dpm_2_ancestral",
	"dpm_2_a":        "dpm_2_ancestral",
	"dpm2_ancestral": "dpm_2_ancestral",
	"plms":           "pndm",
	"uni_pc_bh2":     "unipc",
}

// automatic is A1111's choice of schedule.
var automatic = map[string]string{
	"dpm_2": karras, "dpm_2_ancestral": karras, "dpmpp_2m": karras, "dpmpp_sde": karras,
	"dpmpp_2m_sde": exponential, "dpmpp_3m_sde": exponential,
}

const (
	ancestral2S = "the ancestral DPM++ 2S is not built; dpmpp_2s is another, deterministic algorithm"
	heunSDE     = "DPM++ 2M SDE with Heun's correction is not built; dpmpp_2m_sde is its midpoint variant"
	onGPU       = "it draws its noise on the GPU, another stream of random numbers; the name without _gpu draws it as everywhere else"
	noTwin      = "no scheduler class of diffusers has this algorithm"
)

// refused are the folded names of algorithms that people know and that none of
// the samplers is.
var refused = map[string]string{
	"dpmpp_2s_a":             ancestral2S,
	"dpmpp_2s_ancestral":     ancestral2S,
	"dpmpp_2m_sde_heun":      heunSDE,
	"dpmpp_2m_sde_heun_gpu":  heunSDE,
	"dpmpp_sde_gpu":          onGPU,
	"dpmpp_2m_sde_gpu":       onGPU,
	"dpmpp_3m_sde_gpu":       onGPU,
	"uni_pc":                 "ComfyUI's uni_pc is the variant bh1, unipc is bh2: write unipc or uni_pc_bh2",
	"dpmsolver":              "it stands for different algorithms in different programs: write dpmpp_2m or dpmpp_2s",
	"restart":                noTwin,
	"dpm_fast":               noTwin,
	"dpm_adaptive":           noTwin,
	"heunpp2":                noTwin,
	"ipndm":                  "iPNDM is not built; pndm is another algorithm",
	"ipndm_v":                "iPNDM is not built; pndm is another algorithm",
	"ddim_cfgpp":             "CFG++ changes guidance, which a sampler here knows nothing of",
	"ddim_cfg_pp":            "CFG++ changes guidance, which a sampler here knows nothing of",
	"euler_cfg_pp":           "CFG++ changes guidance, which a sampler here knows nothing of",
	"euler_ancestral_cfg_pp": "CFG++ changes guidance, which a sampler here knows nothing of",
	"tcd":                    "TCD is not built; lcm is another algorithm",
	"res_multistep":          noTwin,
	"gradient_estimation":    noTwin,
	"er_sde":                 noTwin,
	"sa_solver":              "SA-Solver is not built",
	"seeds_2":                noTwin,
	"seeds_3":                noTwin,
}

// unknown is the error for a name that nobody has heard of. What it was meant to
// be may have a schedule at its end, or be another program's.
func unknown(name string) error {
	names := append(Names(), slices.Sorted(maps.Keys(aliases))...)
	whole := slices.Clone(names)
	for _, sampler := range names {
		for _, schedule := range Schedules(cmp.Or(aliases[sampler], sampler))[1:] {
			whole = append(whole, sampler+"_"+schedule)
		}
	}
	near := spelling.Nearest(fold(name), whole)
	if near == "" { // the beginning of a name may be that of one only without schedules
		near = spelling.Nearest(fold(name), Names())
	}
	if near != "" {
		return fmt.Errorf("unknown name %q, did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown name %q, want one of %s", name, strings.Join(Names(), ", "))
}
