package job

// unbuilt returns what a line asks for, rightly, that darkroom can't do yet.
// Who builds one takes its line from here, and adds it to the canonical form.
func (s *Spec) unbuilt() (faults Faults) {
	for _, u := range [...]struct {
		asked bool
		field string
		value string
	}{
		{s.Kind != Generate && s.Kind != "", "kind", string(s.Kind)},
		{s.PromptSyntax != "", "prompt_syntax", s.PromptSyntax},
		{s.Image != "", "image", ""},
		{s.Mask != "", "mask", ""},
		{s.Strength != 0, "strength", ""},
		{s.MaskBlur != 0, "mask_blur", ""},
		{s.MaskPadding != nil, "mask_padding", ""},
		{s.KeepUnmasked, "keep_unmasked", ""},
		{s.Extend != nil, "extend", ""},
		{s.Scale != 0, "scale", ""},
		{s.NoiseLevel != nil, "noise_level", ""},
		{s.Upscale != nil, "upscale", ""},
		{s.Control != nil, "control", ""},
		{s.LoRAs != nil, "loras", ""},
		{s.Embeddings != nil, "embeddings", ""},
	} {
		if !u.asked {
			continue
		}
		fault := Fault{Field: u.field, What: "not built yet"}
		if u.value != "" {
			fault.What, fault.Value = "not built yet:", u.value
		}
		faults = append(faults, fault)
	}
	return faults
}
