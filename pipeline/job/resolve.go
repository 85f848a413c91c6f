package job

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

// Resolve fills in what the job leaves to its model, gives names their one
// spelling, and checks what depends on the model and on the others that it
// names. find looks one up, and says in a few words what is wrong with its
// name. It returns all that is wrong, and no job where anything is. A job that
// is resolved stays as it is when it is resolved again.
func (s Spec) Resolve(find func(ref string) (Model, error)) (Spec, Faults) {
	m, err := find(s.Model)
	if err != nil {
		return Spec{}, Faults{{Field: "model", What: err.Error()}}
	}
	if s.Kind == "" {
		s.Kind = Generate
	}
	if faults := s.checkKind(m); faults != nil {
		return Spec{}, faults
	}
	var faults Faults
	fault := func(field, what, value, want string) {
		faults = append(faults, Fault{field, what, shorten(value), want})
	}

	if _, pin, _ := strings.Cut(s.Model, "@"); !strings.HasPrefix(m.Digest, pin) {
		fault("model", "other weights than", s.Model, "want `"+m.Ref()+"`")
	}
	s.Model = m.Ref()
	faults = append(faults, s.resolveReferences(m, find)...)
	if s.Format == "" {
		s.Format = "png"
	}
	if m.Kind == UpscalerModel {
		if faults = append(faults, s.resolveNetwork(m)...); faults != nil {
			return Spec{}, faults
		}
		return s, nil
	}
	if s.Steps == 0 {
		s.Steps = m.Steps
	}
	if s.given&givenGuidanceScale == 0 && s.GuidanceScale == 0 {
		s.GuidanceScale = m.GuidanceScale
	}
	if s.given&givenGuidanceEnd == 0 && s.GuidanceEnd == 0 {
		s.GuidanceEnd = 1
	}
	s.given |= givenGuidanceScale | givenGuidanceEnd

	if s.Sampler == "" {
		s.Sampler = m.Sampler
	}
	if s.Sampler == "" {
		fault("sampler", "missing", "", "this model's own scheduler is none of darkroom's samplers: name one of "+strings.Join(sampler.Names(), ", "))
	}
	faults = append(faults, s.nameSampler()...)
	if s.Eta > 0 && s.Sampler != "ddim" {
		fault("eta", "out of place with the sampler", s.Sampler, "it is for `ddim`")
	}

	faults = append(faults, s.resolveEdit(m)...)
	faults = append(faults, s.resolveUpscale(m)...)
	if s.Kind != Upscale {
		s.Width, s.Height = cmp.Or(s.Width, m.Width), cmp.Or(s.Height, m.Height)
	}
	faults = append(faults, s.checkUpscaling()...)
	for _, side := range []struct {
		field  string
		pixels int
	}{{"width", s.Width}, {"height", s.Height}} {
		if m.Multiple > 0 && side.pixels%m.Multiple != 0 {
			fault(side.field, fmt.Sprintf("%d is no multiple of %d, which this model takes", side.pixels, m.Multiple), "", nearestSizes(side.pixels, m.Multiple))
		}
	}
	if s.ClipSkip > 0 && s.ClipSkip >= m.TextLayers {
		fault("clip_skip", "out of range:", fmt.Sprint(s.ClipSkip), fmt.Sprintf("want less than the text encoder's %d layers", m.TextLayers))
	}
	if m.Distilled {
		faults = append(faults, s.checkDistilled()...)
	}
	if faults != nil {
		return Spec{}, faults
	}
	return s, nil
}

// nearestSizes names the multiples on both sides of a size, within the limits.
func nearestSizes(pixels, multiple int) string {
	below := pixels / multiple * multiple
	switch above := below + multiple; {
	case above > MaxSide:
		return fmt.Sprintf("want %d", below)
	case below == 0:
		return fmt.Sprintf("want %d", above)
	default:
		return fmt.Sprintf("want %d or %d", below, above)
	}
}

// checkDistilled checks a job of a model whose guidance is an input of its
// denoiser: there is no second row that could be turned off, left out for
// some steps or be given a prompt of its own.
func (s *Spec) checkDistilled() (faults Faults) {
	if s.GuidanceScale < 1 {
		faults = append(faults, Fault{"guidance_scale", "out of range:", fmt.Sprint(s.GuidanceScale), "this model wants a number from 1 to 100"})
	}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"negative_prompt", s.NegativePrompt != nil},
		{"guidance_rescale", s.GuidanceRescale != 0},
		{"guidance_start", s.GuidanceStart != 0},
		{"guidance_end", s.GuidanceEnd != 1},
	} {
		if field.given {
			faults = append(faults, Fault{Field: field.name, What: "out of place", Want: "this model is guided without a second row"})
		}
	}
	return faults
}
