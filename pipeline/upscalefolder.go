package pipeline

import (
	"fmt"
	"io/fs"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

const (
	lowResFile = "low_res_scheduler/scheduler_config.json"
	colors     = 3 // channels of a picture

	// What diffusers' StableDiffusionUpscalePipeline takes: the first where
	// model_index.json says nothing, the second whatever the VAE's configuration says.
	usualNoiseLevels = 350
	upscaleScaling   = .08333
)

// describeUpscale reads what an upscaling pipeline has beside all others.
func (f *folder) describeUpscale(parts index) error {
	if f.unet.Classes == nil {
		return fmt.Errorf("%s: an upscaling UNet without num_class_embeds: it can't be told how noisy its picture is", f.file("unet/config.json"))
	}
	data, err := fs.ReadFile(f.Files, lowResFile)
	if err != nil {
		return fmt.Errorf("%s: %w", f.file(lowResFile), reason(err))
	}
	config, err := sampler.ParseConfig(data)
	if err == nil {
		f.lowRes, err = config.Forward()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.file("low_res_scheduler"), err)
	}
	most, said := parts["max_noise_level"].(float64)
	if !said {
		most = usualNoiseLevels
	}
	f.noiseLevels = min(int(most), *f.unet.Classes-1, f.lowRes.Timesteps()-1)
	if f.noiseLevels < 0 {
		return fmt.Errorf("%s: max_noise_level is %v, want 0 or more", f.file(indexFile), most)
	}
	f.vae.ScalingFactor = new(upscaleScaling)
	return nil
}
