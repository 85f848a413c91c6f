package job

import (
	"fmt"
	"math"
)

// DefaultUpscaler is the model of an upscale that names none.
const DefaultUpscaler = "house-upscale"

// defaultNoiseLevel is that of diffusers' StableDiffusionUpscalePipeline.
const defaultNoiseLevel = 20

// upscales tells whether the model makes pictures larger and nothing else.
func (m Model) upscales() bool { return m.Kind == UpscalerModel || m.Scale > 0 }

// Sampled tells whether the resolved job's picture comes of a sampler, as all do
// but those that a network enlarges by itself.
func (s Spec) Sampled() bool { return s.Steps > 0 }

// Enlarges returns the network that enlarges the resolved job's picture, and how
// many times, 0 for as often as it does; empty: none does.
func (s Spec) Enlarges() (model string, scale float64) {
	switch {
	case !s.Sampled():
		return s.Model, s.Scale
	case s.Upscale != nil:
		return s.Upscale.Model, s.Upscale.Scale
	}
	return "", 0
}

// checkKind says what keeps a job of such a kind from being the model's.
func (s *Spec) checkKind(m Model) Faults {
	what := fmt.Sprintf("%s is %v", m.Name, m.Kind)
	switch {
	case s.Kind == Upscale && m.upscales(), s.Kind != Upscale && m.Kind == PipelineModel && !m.upscales():
		return nil
	case s.Kind == Upscale:
		return Faults{{Field: "model", What: what, Want: "want an upscaler, or a pipeline that upscales"}}
	case m.Kind == PipelineModel:
		return Faults{{Field: "model", What: fmt.Sprintf("%s only makes pictures larger", m.Name), Want: "want a pipeline that paints, or `kind` upscale and an `image`"}}
	}
	return Faults{{Field: "model", What: what, Want: fmt.Sprintf("want %v", PipelineModel)}}
}

// resolveNetwork fills in an upscale by a network that knows pictures only, and
// names what such a network has no use for.
func (s *Spec) resolveNetwork(m Model) (faults Faults) {
	if s.given&givenGuidanceEnd == 0 && s.GuidanceEnd == 0 {
		s.GuidanceEnd = 1
	}
	s.given |= givenGuidanceScale | givenGuidanceEnd
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"prompt", s.Prompt != ""},
		{"negative_prompt", s.NegativePrompt != nil},
		{"prompt_syntax", s.PromptSyntax != ""},
		{"steps", s.Steps != 0},
		{"sampler", s.Sampler != ""},
		{"schedule", s.Schedule != ""},
		{"guidance_scale", s.GuidanceScale != 0},
		{"guidance_rescale", s.GuidanceRescale != 0},
		{"guidance_start", s.GuidanceStart != 0},
		{"guidance_end", s.GuidanceEnd != 1},
		{"eta", s.Eta != 0},
		{"clip_skip", s.ClipSkip != 0},
		{"noise_level", s.NoiseLevel != nil},
		{"loras", s.LoRAs != nil},
		{"embeddings", s.Embeddings != nil},
	} {
		if field.given {
			faults = append(faults, Fault{Field: field.name, What: "out of place", Want: m.Name + " enlarges a picture without a prompt and without steps"})
		}
	}
	if s.Format == "npy" {
		faults = append(faults, Fault{"format", "out of place", "npy", m.Name + " has no latent"})
	}
	if s.Scale == 0 {
		s.Scale = m.Scale
	}
	faults = append(faults, m.checkGrowth("scale", s.Scale)...)
	return append(faults, checkSize("scale", s.source.Width, s.source.Height, s.Scale)...)
}

// resolveUpscale fills in an upscale by a pipeline.
func (s *Spec) resolveUpscale(m Model) (faults Faults) {
	if s.Kind != Upscale {
		return nil
	}
	if s.Scale == 0 {
		s.Scale = m.Scale
	}
	if s.NoiseLevel == nil {
		s.NoiseLevel = new(min(defaultNoiseLevel, m.NoiseLevels))
	}
	if *s.NoiseLevel > m.NoiseLevels {
		faults = append(faults, Fault{"noise_level", "out of range:", fmt.Sprint(*s.NoiseLevel), fmt.Sprintf("this model wants at most %d", m.NoiseLevels)})
	}
	if s.Scale > m.Scale {
		faults = append(faults, Fault{"scale", "out of range:", fmt.Sprint(s.Scale), fmt.Sprintf("this model makes pictures %v times as wide: want at most that", m.Scale)})
	}
	width, height := m.Enlarged(s.source.Width, s.source.Height)
	for _, side := range []struct {
		name          string
		own, enlarged int
	}{{"width", s.source.Width, width}, {"height", s.source.Height, height}} {
		if side.own > 0 && side.enlarged == 0 {
			faults = append(faults, Fault{Field: "image", What: fmt.Sprintf("its %s of %d pixels is less than the %v that this model takes at least", side.name, side.own, float64(m.Multiple)/m.Scale)})
		}
	}
	// The pipeline's own result is as large, whatever of it is kept.
	return append(faults, checkSize("scale", s.source.Width, s.source.Height, m.Scale)...)
}

// Enlarged is the size of what a pipeline that upscales makes of a picture: its
// sides are multiples, as all of a pipeline's are.
func (m Model) Enlarged(width, height int) (int, int) {
	multiple := max(m.Multiple, 1)
	side := func(pixels int) int { return int(float64(pixels)*m.Scale) / multiple * multiple }
	return side(width), side(height)
}

// checkUpscaling checks how large the upscale makes a picture that follows the
// job's own.
func (s *Spec) checkUpscaling() Faults {
	if s.Upscale == nil {
		return nil
	}
	width, height := s.Width, s.Height
	if s.MaskPadding != nil { // the part that is painted goes back into the whole
		width, height = s.Extend.extended(s.source.Width, s.source.Height)
	}
	return checkSize("upscale.scale", width, height, s.Upscale.Scale)
}

// Scaled is a side of a picture that becomes so many times as large, in pixels.
func Scaled(pixels int, scale float64) int { return int(math.Round(float64(pixels) * scale)) }

// CheckScaled says what is wrong with the size that a picture is to have, in a
// few words.
func CheckScaled(width, height int, scale float64) error {
	if w, h := Scaled(width, scale), Scaled(height, scale); w > MaxSide || h > MaxSide {
		return fmt.Errorf("%v times as large, a picture of %dx%d pixels has %dx%d, and at most %d to a side can be made", scale, width, height, w, h, MaxSide)
	}
	return nil
}

// checkSize checks how large a picture becomes. Sides and scales of 0 are those
// that aren't known yet.
func checkSize(field string, width, height int, scale float64) Faults {
	if err := CheckScaled(width, height, scale); err != nil {
		return Faults{{Field: field, What: err.Error()}}
	}
	return nil
}

// checkGrowth checks a scale that a network is asked for.
func (m Model) checkGrowth(field string, scale float64) Faults {
	if m.Scale == 1 && scale > 1 {
		return Faults{{field, "out of range:", fmt.Sprint(scale), m.Name + " mends pictures, and makes none larger: want 1"}}
	}
	return nil
}
