package job

import "fmt"

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
	if s.given&givenGuidanceEnd != 0 && s.GuidanceStart > s.GuidanceEnd {
		fault("guidance_start", fmt.Sprintf("guidance that starts at %v and ends at %v", s.GuidanceStart, s.GuidanceEnd), "want `guidance_start` <= `guidance_end`")
	}
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
	return append(faults, s.unbuilt()...)
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
