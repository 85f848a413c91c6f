package imaging

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
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
func infotext(about About, picture *Bitmap) string {
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
	if spec.Sampled() {
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
	}
	size := fmt.Sprintf("%dx%d", picture.Width, picture.Height)
	if spec.Kind == job.Upscale {
		setting("Size", size)
	} else { // what becomes of the job's own picture webui counts apart
		setting("Size", fmt.Sprintf("%dx%d", spec.Width, spec.Height))
	}
	setting("Model hash", about.Digest[:min(10, len(about.Digest))])
	setting("Model", about.Model)
	if spec.Kind == job.Edit {
		setting("Denoising strength", number(spec.Strength))
	}
	if spec.MaskBlur > 0 {
		setting("Mask blur", number(spec.MaskBlur))
	}
	if spec.MaskPadding != nil {
		setting("Inpaint area", "Only masked")
		setting("Masked area padding", strconv.Itoa(*spec.MaskPadding))
	}
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
	for i, c := range spec.Control {
		setting(fmt.Sprintf("ControlNet %d", i), controlText(c))
	}
	var loras []string
	for _, l := range spec.LoRAs {
		loras = append(loras, l.Name)
	}
	setting("Lora hashes", hashes(loras))
	setting("TI hashes", hashes(spec.Embeddings))
	switch {
	case spec.Upscale != nil:
		name, _ := job.Pinned(spec.Upscale.Model)
		setting("Postprocess upscale by", number(spec.Upscale.Scale))
		setting("Postprocess upscale to", size)
		setting("Postprocess upscaler", name)
	case spec.Kind == job.Upscale:
		setting("Postprocess upscale by", number(spec.Scale))
		setting("Postprocess upscaler", about.Model)
	}
	if spec.NoiseLevel != nil {
		setting("Noise level", strconv.Itoa(*spec.NoiseLevel))
	}
	if spec.Sampled() {
		setting("RNG", "CPU")
	}
	setting("Version", "darkroom "+about.MadeWith.Darkroom)
	return b.String()
}

// controlText is how webui's ControlNet extension describes one.
func controlText(c job.Control) string {
	module, mode := c.Preprocess, "Balanced"
	if module == "" {
		module = "none"
	}
	if c.GuessMode {
		mode = "ControlNet is more important"
	}
	name, digest := job.Pinned(c.Model)
	return fmt.Sprintf("Module: %s, Model: %s [%s], Weight: %s, Guidance Start: %s, Guidance End: %s, Control Mode: %s",
		module, name, digest[:min(8, len(digest))], number(c.Scale), number(c.Start), number(c.End), mode)
}

// hashes is how webui names what a picture was made with beside its model.
func hashes(refs []string) string {
	list := make([]string, len(refs))
	for i, ref := range refs {
		name, digest := job.Pinned(ref)
		list[i] = name + ": " + digest[:min(12, len(digest))]
	}
	return strings.Join(list, ", ")
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
