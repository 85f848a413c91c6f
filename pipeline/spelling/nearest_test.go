package spelling

import "testing"

func TestNearest(t *testing.T) {
	fields := []string{"steps", "sampler", "schedule", "seed", "negative_prompt", "mask", "mask_blur", "mask_padding"}
	for name, want := range map[string]string{
		"stpes": "steps", "STEPS": "steps", "step": "steps", "samplr": "sampler", "sede": "seed", "negative": "negative_prompt",
		"mask_blurr": "mask_blur", "xyz": "", "": "", "q": "", "mask_": "mask", "mas": "mask", "wholly different": "",
	} {
		if got := Nearest(name, fields); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}
