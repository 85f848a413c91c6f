package pipeline

import (
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// TestFits names what a ControlNet of another family has that a pipeline's UNet
// hasn't.
func TestFits(t *testing.T) {
	family := func(widths []int, layers any, text, channels, vae int) *folder {
		return &folder{
			Entry: Entry{Name: "x"}, unet: unetConfig{levels: levels{widths, layers}}, text: []textConfig{{HiddenSize: text}},
			vae: vaeConfig{Widths: make([]int, vae), LatentChannels: channels},
		}
	}
	pipeline := family([]int{320, 640, 1280, 1280}, 2., 768, 4, 4)
	for name, c := range map[string]struct {
		f    *folder
		side int
		want string
	}{
		"itself":        {family([]int{320, 640, 1280, 1280}, nil, 768, 4, 0), 8, ""},
		"SDXL's blocks": {family([]int{320, 640, 1280}, 2., 768, 4, 0), 8, "it gives out 10 residuals, and the UNet takes 13"},
		"more layers":   {family([]int{320, 640, 1280, 1280}, []any{2., 2., 3., 2.}, 768, 4, 0), 8, "14 residuals, and the UNet takes 13"},
		"more channels": {family([]int{320, 640, 1280, 1536}, 2., 768, 4, 0), 8, "its residual 10 has 1536 channels, and the UNet's 1280"},
		"other texts":   {family([]int{320, 640, 1280, 1280}, 2., 1024, 4, 0), 8, "tokens of 1024 numbers, and the model's have 768"},
		"other latents": {family([]int{320, 640, 1280, 1280}, 2., 768, 16, 0), 8, "latents of 16 channels, and the model's have 4"},
		"other VAE":     {family([]int{320, 640, 1280, 1280}, 2., 768, 4, 0), 4, "its picture has 4 pixels for each of a latent's values, and the VAE's has 8"},
	} {
		net := &controlNet{folder: c.f, unet: &unet{channels: c.f.vae.LatentChannels, side: c.side}}
		switch err := net.fits(pipeline); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || job.ClassOf(err) != job.BadJob || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
