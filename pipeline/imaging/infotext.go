package imaging

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// webuiNames are what stable-diffusion-webui calls the samplers: its readers
// look for these names.
var webuiNames = map[string]string{
	"ddim": "DDIM", "ddpm": "DDPM", "deis": "DEIS", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a",
	"dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m_sde": "DPM++ 3M SDE", "dpmpp_sde": "DPM++ SDE",
	"euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "lcm": "LCM", "lms": "LMS", "pndm": "PLMS", "unipc": "UniPC",
}

// infotext is the text that stable-diffusion-webui writes into its pictures
// and that other programs read: the prompt, the negative prompt, and a line of
// settings.
func infotext(about About) string {
	spec := about.Job
	var b strings.Builder
	b.WriteString(spec.Prompt)
	if spec.NegativePrompt != nil && *spec.NegativePrompt != "" && spec.Guided() {
		b.WriteString("\nNegative prompt: " + *spec.NegativePrompt)
	}
	b.WriteByte('\n')
	first := true
	setting := func(key, value string) {
		if value == "" {
			return
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.WriteString(key + ": " + quote(value))
	}
	name := webuiNames[spec.Sampler]
	if name == "" {
		name = spec.Sampler
	}
	setting("Steps", strconv.Itoa(spec.Steps))
	setting("Sampler", name)
	if spec.Schedule != "" {
		setting("Schedule type", strings.ToUpper(spec.Schedule[:1])+spec.Schedule[1:])
	}
	setting("CFG scale", number(spec.GuidanceScale))
	setting("Seed", strconv.FormatUint(spec.Seed, 10))
	setting("Size", fmt.Sprintf("%dx%d", spec.Width, spec.Height))
	setting("Model hash", about.Digest[:min(10, len(about.Digest))])
	setting("Model", about.Model)
	if spec.ClipSkip > 0 {
		// webui counts from the last layer: 1 is what everybody else calls none.
		setting("Clip skip", strconv.Itoa(spec.ClipSkip+1))
	}
	if spec.GuidanceRescale > 0 && spec.Guided() {
		setting("CFG rescale", number(spec.GuidanceRescale))
	}
	if spec.Eta > 0 {
		setting("Eta DDIM", number(spec.Eta))
	}
	setting("RNG", "CPU")
	setting("Version", "darkroom "+about.MadeWith.Darkroom)
	return b.String()
}

// quote makes a JSON string of a value that a reader would take apart.
func quote(value string) string {
	if !strings.ContainsAny(value, ",:\n") {
		return value
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return value // never for a string
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
