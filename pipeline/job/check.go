package job

import (
	"fmt"

	"github.com/darkroom/darkroom/pipeline/prompt"
)

// check returns what is wrong with a line's fields taken together, as far as
// no model is needed to tell. Given has the bits of those that the line named.
func (s *Spec) check(given uint64) (faults Faults) {
	fault := func(field, what, want string) {
		faults = append(faults, Fault{Field: field, What: what, Want: want})
	}
	for _, rule := range outOfPlace[s.Kind] {
		if given&rule.bit != 0 {
			fault(rule.field, "out of place in "+article(s.Kind), rule.want)
		}
	}
	if (s.Kind == Edit || s.Kind == Upscale) && given&specMembers.bit("image") == 0 {
		fault("image", "missing in "+article(s.Kind), "want "+wantFile)
	}
	if s.Kind == Edit && given&(specMembers.bit("mask")|specMembers.bit("extend")) == 0 {
		for _, field := range []string{"mask_blur", "mask_padding", "keep_unmasked"} {
			if given&specMembers.bit(field) != 0 {
				fault(field, "out of place without a mask", "want `mask` or `extend` beside it")
			}
		}
	}
	if s.KeepUnmasked && s.Format == "npy" {
		fault("keep_unmasked", "out of place with the format `npy`", "a latent has no pixels that could be put back")
	}
	if s.Upscale != nil && s.Format == "npy" {
		fault("upscale", "out of place with the format `npy`", "a latent has no pixels that could be enlarged")
	}
	if s.given&givenGuidanceEnd != 0 && s.GuidanceStart > s.GuidanceEnd {
		fault("guidance_start", fmt.Sprintf("guidance that starts at %v and ends at %v", s.GuidanceStart, s.GuidanceEnd), "want `guidance_start` <= `guidance_end`")
	}
	faults = append(faults, s.checkSyntax()...)
	if bad := s.nameSampler(); bad != nil {
		faults = append(faults, bad...)
		s.Sampler, s.Schedule, s.Eta = "", "", 0 // whether they go together can't be told
	}
	if s.N > 1 {
		if longest := len(s.ID) + len(fmt.Sprintf("-%d", s.N-1)); s.ID != "" && longest > 100 {
			faults = append(faults, Fault{"id", "too long", s.ID, fmt.Sprintf("with the numbers of %d pictures it has %d characters, want at most 100", s.N, longest)})
		}
		if f, bad := seedFault(s.Seed, s.N); bad {
			faults = append(faults, f)
		}
	}
	if s.Kind == Video {
		faults = append(faults, Fault{Field: "kind", What: "not built yet:", Value: string(s.Kind)})
	}
	return faults
}

// checkSyntax checks prompts that are more than text.
func (s *Spec) checkSyntax() (faults Faults) {
	if s.PromptSyntax != A1111 {
		return nil
	}
	if _, err := prompt.Parse(s.Prompt); err != nil {
		faults = append(faults, Fault{Field: "prompt", What: err.Error()})
	}
	if s.NegativePrompt != nil {
		if _, err := prompt.Parse(*s.NegativePrompt); err != nil {
			faults = append(faults, Fault{Field: "negative_prompt", What: err.Error()})
		}
	}
	return faults
}

func article(k Kind) string {
	if k == Edit || k == Upscale {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// misplaced is a field that a kind of job has no use for.
type misplaced struct {
	field string
	bit   uint64
	want  string
}

// outOfPlace says which fields each kind has no use for.
var outOfPlace = func() map[Kind][]misplaced {
	rules := map[Kind][]misplaced{}
	never := func(k Kind, want string, fields ...string) {
		for _, field := range fields {
			rules[k] = append(rules[k], misplaced{field, specMembers.bit(field), want})
		}
	}
	never(Generate, "it is for an edit or an upscale", "image")
	never(Generate, "it is for an edit", "mask", "strength", "mask_blur", "mask_padding", "keep_unmasked", "extend")
	never(Generate, "it is for an upscale", "scale", "noise_level")
	never(Edit, "it is for an upscale", "scale", "noise_level")
	never(Upscale, "it is for an edit", "mask", "strength", "mask_blur", "mask_padding", "keep_unmasked", "extend")
	never(Upscale, "`scale` says how large", "width", "height")
	never(Upscale, "it is for a generate or an edit", "upscale", "control")
	return rules
}()
