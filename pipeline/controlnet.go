package pipeline

import (
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// The inputs that a ControlNetModel has beside those of a UNet2DConditionModel.
const (
	pictureInput = "controlnet_cond"
	scaleInput   = "conditioning_scale" // which few exports keep
)

// controlNet is a network that leads a UNet by a picture (Zhang et al., arXiv
// 2302.05543): it gives out what is added to the UNet's skip connections. It is
// safe for concurrent use.
type controlNet struct {
	*folder // with what a pipeline's UNet and text encoders must be like
	unet    *unet
}

// controlConfig is config.json of a ControlNetModel.
type controlConfig struct {
	levels
	InChannels       int   `json:"in_channels"`
	PictureWidths    []int `json:"conditioning_embedding_out_channels"`
	Pooled           bool  `json:"global_pool_conditions"`
	ProjectionInput  int   `json:"projection_class_embeddings_input_dim"`
	TimeEmbeddingDim int   `json:"addition_time_embed_dim"`
}

// controlNet is the ControlNet of a resolved reference, name@digest, for the shelf.
func (r *Renderer) controlNet(ref string) wanted {
	return r.network(ref, job.ControlNetModel, func(entry Entry, m job.Model) (loaded, error) {
		return loadControlNet(r.lanes, entry, m)
	})
}

func loadControlNet(l *lanes, entry Entry, m job.Model) (*controlNet, error) {
	var config controlConfig
	if err := entry.read(configFile, &config); err != nil {
		return nil, err
	}
	if len(config.Widths) == 0 {
		return nil, fmt.Errorf("%s: no block_out_channels: it is no ControlNetModel", entry.file(configFile))
	}
	err := config.levels.check()
	if err == nil {
		err = checkWidths("conditioning_embedding_out_channels", config.PictureWidths)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", entry.file(configFile), err)
	}
	f := &folder{Entry: entry, model: m, unet: unetConfig{levels: config.levels}, text: []textConfig{{HiddenSize: m.TextWidth}}}
	if m.XL {
		pooled := config.ProjectionInput - timeIDs*config.TimeEmbeddingDim
		if pooled < 1 || pooled > mostWidth {
			return nil, fmt.Errorf("%s: projection_class_embeddings_input_dim is %d, want more than %d times addition_time_embed_dim, which is %d, by up to %d", entry.file(configFile), config.ProjectionInput, timeIDs, config.TimeEmbeddingDim, mostWidth)
		}
		f.text = append(f.text, textConfig{ProjectionDim: pooled})
	}
	u := &unet{channels: config.InChannels, side: 8}
	if n := len(config.PictureWidths); n > 0 {
		u.side = 1 << (n - 1)
	}
	graph, err := openGraph(l.runtime, f, graphFile, func(g *onnx.Model) (outputs []Port, variant string, err error) {
		if g.TimestepPerRow(timestepInput) {
			variant = "-rows"
		}
		list := f.unet.residuals()
		for i := range list {
			list[i].pooled = config.Pooled
		}
		if u.gives, err = named(list, g.Outputs()); err == nil {
			err = u.check(g.Inputs(), f)
		}
		for _, r := range u.gives {
			output, _ := findPort(g.Outputs(), r.name)
			outputs = append(outputs, output)
		}
		return outputs, variant, err
	})
	if err != nil {
		return nil, err
	}
	u.graph = graph
	if err := u.settle(f, l.device); err != nil {
		u.close()
		return nil, err
	}
	return &controlNet{f, u}, nil
}

func (c *controlNet) close() { c.unet.close() }

// fits tells whether the ControlNet was made for the pipeline's family.
func (c *controlNet) fits(f *folder) error {
	misfit := func(format string, args ...any) error {
		return job.Bad(fmt.Errorf("the ControlNet %s doesn't go with %s, and was made for another family of models: %s", c.folder.Name, f.Name, fmt.Sprintf(format, args...)))
	}
	own, others := c.folder.unet.residuals(), f.unet.residuals()
	switch {
	case c.unet.channels != f.vae.LatentChannels:
		return misfit("it is for latents of %d channels, and the model's have %d", c.unet.channels, f.vae.LatentChannels)
	case c.textWidth() != f.textWidth():
		return misfit("it is for tokens of %d numbers, and the model's have %d", c.textWidth(), f.textWidth())
	case c.unet.side != f.vae.factor():
		return misfit("its picture has %d pixels for each of a latent's values, and the VAE's has %d", c.unet.side, f.vae.factor())
	case len(own) != len(others):
		return misfit("it gives out %d residuals, and the UNet takes %d", len(own), len(others))
	}
	for i := range own {
		if own[i] != others[i] {
			return misfit("its residual %d has %d channels, and the UNet's %d", i, own[i].channels, others[i].channels)
		}
	}
	return nil
}
