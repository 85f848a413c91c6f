package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

const indexFile = "model_index.json"

// folder is a model as its configuration files describe it: the layout of
// diffusers, as `optimum-cli export onnx` writes it.
type folder struct {
	Entry
	model     job.Model // all but the digest
	scheduler sampler.Config
	unet      unetConfig
	vae       vaeConfig
	text      textConfig
	unused    []string // parts that are there and play no role
}

type unetConfig struct {
	InChannels           int    `json:"in_channels"`
	SampleSize           any    `json:"sample_size"` // a number, or height and width
	Widths               []int  `json:"block_out_channels"`
	TimeCondDim          *int   `json:"time_cond_proj_dim"`
	AdditionEmbedding    string `json:"addition_embed_type"`
	ClassEmbedding       string `json:"class_embed_type"`
	Classes              *int   `json:"num_class_embeds"`
	EncoderHiddenDimType string `json:"encoder_hid_dim_type"`
}

type vaeConfig struct {
	Widths         []int    `json:"block_out_channels"`
	LatentChannels int      `json:"latent_channels"`
	ScalingFactor  *float64 `json:"scaling_factor"`
	ShiftFactor    *float64 `json:"shift_factor"`
}

// factor is how many pixels a latent value is wide.
func (v vaeConfig) factor() int { return 1 << (len(v.Widths) - 1) }

type textConfig struct {
	Layers     int `json:"num_hidden_layers"`
	HiddenSize int `json:"hidden_size"`
}

// defaults is darkroom.json: what suits a model where a job doesn't say. Sizes
// are checked with the model's own.
type defaults struct {
	Width         *int     `json:"width"`
	Height        *int     `json:"height"`
	Steps         *int     `json:"steps"`
	GuidanceScale *float64 `json:"guidance_scale"`
}

// index is model_index.json: each part's library and class, nulls where it has
// none, and settings that are no parts.
type index map[string]any

func (x index) has(part string) bool {
	pair, ok := x[part].([]any)
	return ok && len(pair) == 2 && pair[0] != nil
}

// needed are the files without which nothing can be rendered.
var needed = []string{
	"scheduler/scheduler_config.json",
	"tokenizer/vocab.json", "tokenizer/merges.txt",
	"text_encoder/config.json", "text_encoder/model.onnx",
	"unet/config.json", "unet/model.onnx",
	"vae_decoder/config.json", "vae_decoder/model.onnx",
}

// describe reads a model's configuration and checks that it is one that can be
// rendered with and that no part is missing.
func describe(entry Entry) (*folder, error) {
	f := &folder{Entry: entry}
	var parts index
	if err := f.read(indexFile, &parts); err != nil {
		return nil, err
	}
	if err := f.checkFamily(parts); err != nil {
		return nil, err
	}
	if err := f.checkParts(); err != nil {
		return nil, err
	}
	for _, part := range []string{"safety_checker", "feature_extractor", "image_encoder"} {
		if parts.has(part) {
			f.unused = append(f.unused, part)
		}
	}

	var preset defaults
	for name, into := range map[string]any{
		"unet/config.json": &f.unet, "vae_decoder/config.json": &f.vae, "text_encoder/config.json": &f.text,
	} {
		if err := f.read(name, into); err != nil {
			return nil, err
		}
	}
	if err := f.read("darkroom.json", &preset); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := fs.ReadFile(f.Files, "scheduler/scheduler_config.json")
	if err == nil {
		f.scheduler, err = sampler.ParseConfig(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file("scheduler"), err)
	}
	if err := f.checkConfigs(); err != nil {
		return nil, err
	}
	class, _ := parts["_class_name"].(string)
	consistency := strings.Contains(class, "LatentConsistencyModel")
	if !consistency {
		f.scheduler = f.scheduler.StableDiffusion()
	}
	return f, f.fillIn(preset, consistency)
}

// read decodes one of the model's JSON files.
func (f *folder) read(name string, into any) error {
	data, err := fs.ReadFile(f.Files, name)
	if err != nil {
		return fmt.Errorf("%s: %w", f.file(name), reason(err))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, strict := into.(*defaults); strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", f.file(name), err)
	}
	return nil
}

// reason drops the path from a file error: file has said it better.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// checkFamily refuses families whose pipelines aren't built.
func (f *folder) checkFamily(parts index) error {
	class, _ := parts["_class_name"].(string)
	unbuilt := func(what string) error {
		return fmt.Errorf("%s: %s is not built yet; Stable Diffusion 1.x and 2.x folders are", f.file(indexFile), what)
	}
	switch {
	case parts.has("transformer"):
		return unbuilt("a pipeline with a transformer, such as " + class + ",")
	case parts.has("text_encoder_2"):
		return unbuilt("a pipeline with two text encoders, such as " + class + ",")
	case parts.has("controlnet"):
		return unbuilt(class)
	}
	return nil
}

// checkParts names all files that are missing.
func (f *folder) checkParts() error {
	var missing []string
	for _, name := range needed {
		if info, err := fs.Stat(f.Files, name); err != nil || info.IsDir() {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	err := fmt.Errorf("%s lacks %s", f.Where(), strings.Join(missing, ", "))
	if f.Folder != "" && slices.Contains(missing, "unet/model.onnx") {
		if files, _ := fs.Glob(f.Files, "unet/diffusion_pytorch_model*"); files != nil {
			err = fmt.Errorf("%w: these are PyTorch weights; make an ONNX folder of them with optimum-cli export onnx --model %s FOLDER", err, f.Folder)
		}
	}
	return err
}

// checkConfigs refuses UNets that want inputs which text to image has not, and
// numbers that make no sense.
func (f *folder) checkConfigs() error {
	u, v := f.unet, f.vae
	what := ""
	switch {
	case len(v.Widths) == 0 || v.LatentChannels < 1:
		return fmt.Errorf("%s: no block_out_channels or no latent_channels: it is no AutoencoderKL", f.file("vae_decoder/config.json"))
	case v.ScalingFactor != nil && *v.ScalingFactor == 0:
		return fmt.Errorf("%s: scaling_factor is 0", f.file("vae_decoder/config.json"))
	case f.text.HiddenSize < 1 || f.text.Layers < 1:
		return fmt.Errorf("%s: no hidden_size or no num_hidden_layers: it is no CLIPTextModel", f.file("text_encoder/config.json"))
	case len(u.Widths) == 0 || u.InChannels < 1:
		return fmt.Errorf("%s: no block_out_channels or no in_channels: it is no UNet2DConditionModel", f.file("unet/config.json"))
	case u.InChannels == 2*v.LatentChannels+1:
		what = "an inpainting UNet"
	case u.InChannels == 2*v.LatentChannels:
		what = "a UNet that follows instructions (InstructPix2Pix)"
	case u.InChannels == v.LatentChannels+3:
		what = "an upscaling UNet"
	case u.InChannels != v.LatentChannels:
		return fmt.Errorf("%s: in_channels is %d, and the VAE's latents have %d", f.file("unet/config.json"), u.InChannels, v.LatentChannels)
	case u.AdditionEmbedding != "":
		what = "a UNet with addition_embed_type " + u.AdditionEmbedding
	case u.ClassEmbedding != "" || u.Classes != nil:
		what = "a UNet with class embeddings"
	case u.EncoderHiddenDimType != "":
		what = "a UNet with encoder_hid_dim_type " + u.EncoderHiddenDimType
	}
	if what != "" {
		return fmt.Errorf("%s: %s is not built yet; those of Stable Diffusion 1.x and 2.x are", f.file("unet/config.json"), what)
	}
	return nil
}

// fillIn works out what jobs must know of the model.
func (f *folder) fillIn(preset defaults, consistency bool) error {
	m := &f.model
	*m = job.Model{Name: f.Name, Steps: 50, GuidanceScale: 7.5, TextLayers: f.text.Layers, Distilled: f.unet.TimeCondDim != nil}
	if consistency {
		m.Steps, m.GuidanceScale = 4, 8.5
	}
	m.Multiple = f.vae.factor() << (len(f.unet.Widths) - 1)
	switch size := f.unet.SampleSize.(type) {
	case float64:
		m.Width, m.Height = int(size)*f.vae.factor(), int(size)*f.vae.factor()
	case []any:
		if len(size) == 2 {
			height, _ := size[0].(float64)
			width, _ := size[1].(float64)
			m.Width, m.Height = int(width)*f.vae.factor(), int(height)*f.vae.factor()
		}
	}
	if preset.Width != nil {
		m.Width = *preset.Width
	}
	if preset.Height != nil {
		m.Height = *preset.Height
	}
	if n := preset.Steps; n != nil && (*n < 1 || *n > 1000) {
		return fmt.Errorf("%s: steps is %d, want 1 to 1000", f.file("darkroom.json"), *n)
	}
	if g := preset.GuidanceScale; g != nil && (*g < 0 || *g > 100) {
		return fmt.Errorf("%s: guidance_scale is %v, want 0 to 100", f.file("darkroom.json"), *g)
	}
	if preset.Steps != nil {
		m.Steps = *preset.Steps
	}
	if preset.GuidanceScale != nil {
		m.GuidanceScale = *preset.GuidanceScale
	}
	if m.Width <= 0 || m.Height <= 0 {
		return fmt.Errorf("%s: no sample_size; a darkroom.json with width and height helps", f.file("unet/config.json"))
	}
	if m.Width%m.Multiple != 0 || m.Height%m.Multiple != 0 {
		return fmt.Errorf("%s: its own size of %dx%d is no multiple of %d, which its UNet and VAE want", f.Where(), m.Width, m.Height, m.Multiple)
	}
	// Where the configuration names a scheduler that isn't built, jobs that name
	// a sampler can still be rendered.
	m.Sampler, _ = f.scheduler.Sampler()
	return nil
}
