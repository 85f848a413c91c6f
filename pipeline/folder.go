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

const (
	indexFile    = "model_index.json"
	defaultsFile = "darkroom.json"
)

// folder is a model as its configuration files describe it: the layout of
// diffusers, as `optimum-cli export onnx` writes it.
type folder struct {
	Entry
	model  job.Model       // all but the digest
	config sampler.Config  // of the scheduler, as the file says; see scheduler
	lowRes sampler.Forward // of an upscaling pipeline: how the picture that it enlarges is made noisy
	lcm    bool            // a latent consistency model's pipeline
	unet   unetConfig
	vae    vaeConfig
	text   []textConfig // one, or SDXL's two
	zeros  bool         // no negative prompt is zeros, not the empty prompt's text
	unused []string     // parts that are there and play no role
	taught *taught      // what the part that is loaded is to learn; nil: nothing

	noiseLevels int // the largest, of an upscaling pipeline
}

type unetConfig struct {
	levels
	InChannels           int    `json:"in_channels"`
	SampleSize           any    `json:"sample_size"` // a number, or height and width
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
	Layers        int `json:"num_hidden_layers"`
	HiddenSize    int `json:"hidden_size"`
	ProjectionDim int `json:"projection_dim"`
	Vocabulary    int `json:"vocab_size"`
}

// vocabulary is how many tokens the encoder knows: where the file doesn't say,
// CLIP's.
func (t textConfig) vocabulary() int {
	if t.Vocabulary > 0 {
		return t.Vocabulary
	}
	return 49408
}

// numbered is the name of a part of which a model may have several: the first
// has no number.
func numbered(part string, i int) string {
	if i == 0 {
		return part
	}
	return fmt.Sprintf("%s_%d", part, i+1)
}

// isXL tells whether the model is of Stable Diffusion XL's family (Podell et
// al., arXiv 2307.01952): two text encoders, whose last layers but one are laid
// side by side, the second's pooled text, and the picture's sizes as an input.
func (f *folder) isXL() bool { return len(f.text) == 2 }

// inpaints tells whether the UNet takes a mask, and the latent of what the mask
// leaves of a picture, behind its sample.
func (f *folder) inpaints() bool { return f.unet.InChannels == 2*f.vae.LatentChannels+1 }

// upscales tells whether the UNet takes a noisy picture, as large as its latent,
// behind its sample, and how noisy that is: the upscaler of Stable Diffusion 2.
func (f *folder) upscales() bool { return f.unet.InChannels == f.vae.LatentChannels+colors }

// textWidth is how many numbers a token's embedding has.
func (f *folder) textWidth() int {
	width := 0
	for _, text := range f.text {
		width += text.HiddenSize
	}
	return width
}

// timeIDs are the picture's size before it was cropped, the crop's corner, and
// the size wanted: height and width each.
const timeIDs = 6

// vectorSizes are the sizes of a row's [vectors], 0 for those that the model
// doesn't take.
func (f *folder) vectorSizes() (sizes [len(vectors)]int) {
	if f.unet.TimeCondDim != nil {
		sizes[0] = *f.unet.TimeCondDim
	}
	if f.isXL() {
		sizes[1], sizes[2] = f.text[1].ProjectionDim, timeIDs
	}
	return sizes
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
func (f *folder) needed() []string {
	names := []string{"scheduler/scheduler_config.json"}
	for i := range f.text {
		tokenizer, encoder := numbered("tokenizer", i), numbered("text_encoder", i)
		names = append(names, tokenizer+"/vocab.json", tokenizer+"/merges.txt", encoder+"/config.json", encoder+"/model.onnx")
	}
	return append(names, "unet/config.json", "unet/model.onnx", "vae_decoder/config.json", "vae_decoder/model.onnx")
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
	f.text = make([]textConfig, 1)
	if parts.has("text_encoder_2") {
		f.text = make([]textConfig, 2)
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
	configs := map[string]any{"unet/config.json": &f.unet, "vae_decoder/config.json": &f.vae}
	for i := range f.text {
		configs[numbered("text_encoder", i)+"/config.json"] = &f.text[i]
	}
	for name, into := range configs {
		if err := f.read(name, into); err != nil {
			return nil, err
		}
	}
	if err := f.read(defaultsFile, &preset); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := fs.ReadFile(f.Files, "scheduler/scheduler_config.json")
	if err == nil {
		f.config, err = sampler.ParseConfig(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file("scheduler"), err)
	}
	if err := f.checkConfigs(); err != nil {
		return nil, err
	}
	if f.upscales() {
		if err := f.describeUpscale(parts); err != nil {
			return nil, err
		}
	}
	class, _ := parts["_class_name"].(string)
	f.lcm = strings.Contains(class, "LatentConsistencyModel")
	if zeros, said := parts["force_zeros_for_empty_prompt"].(bool); f.isXL() {
		f.zeros = zeros || !said
	}
	return f, f.fillIn(preset)
}

// scheduler returns the scheduler's configuration as the pipeline of diffusers
// patches it that would draw such a job.
func (f *folder) scheduler(spec job.Spec) sampler.Config {
	switch {
	case f.isXL() || f.upscales() || len(spec.Control) > 0:
		return f.config
	case spec.Inpaints():
		return f.config.StableDiffusionInpaint()
	case f.lcm:
		return f.config
	default:
		return f.config.StableDiffusion()
	}
}

// read decodes one of the model's JSON files.
func (e Entry) read(name string, into any) error {
	data, err := fs.ReadFile(e.Files, name)
	if err != nil {
		return fmt.Errorf("%s: %w", e.file(name), reason(err))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	_, strict := into.(*defaults)
	if strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		if strict {
			err = fmt.Errorf("%w; want width, height, steps and guidance_scale, or some of them", err)
		}
		return fmt.Errorf("%s: %w", e.file(name), err)
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
		return fmt.Errorf("%s: %s is not built yet; Stable Diffusion 1.x, 2.x and XL folders are", f.file(indexFile), what)
	}
	switch {
	case parts.has("transformer"):
		return unbuilt("a pipeline with a transformer, such as " + class + ",")
	case parts.has("text_encoder_2") && !parts.has("text_encoder"):
		return unbuilt("a pipeline with the second text encoder only, SDXL's refiner,")
	case parts.has("controlnet"):
		return unbuilt(class)
	}
	return nil
}

// checkParts names all files that are missing.
func (f *folder) checkParts() error {
	var missing []string
	for _, name := range f.needed() {
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
	for i, text := range f.text {
		name := f.file(numbered("text_encoder", i) + "/config.json")
		if text.HiddenSize < 1 || text.Layers < 1 {
			return fmt.Errorf("%s: no hidden_size or no num_hidden_layers: it is no CLIPTextModel", name)
		}
		if i == 1 && text.ProjectionDim < 1 {
			return fmt.Errorf("%s: no projection_dim: it is no CLIPTextModelWithProjection", name)
		}
		if text.HiddenSize > mostWidth || text.ProjectionDim > mostWidth {
			return fmt.Errorf("%s: hidden_size is %d and projection_dim %d, want at most %d", name, text.HiddenSize, text.ProjectionDim, mostWidth)
		}
	}
	if err := u.levels.check(); err != nil {
		return fmt.Errorf("%s: %w", f.file("unet/config.json"), err)
	}
	if err := checkWidths("block_out_channels", v.Widths); err != nil {
		return fmt.Errorf("%s: %w", f.file("vae_decoder/config.json"), err)
	}
	what := ""
	switch {
	case len(v.Widths) == 0 || v.LatentChannels < 1:
		return fmt.Errorf("%s: no block_out_channels or no latent_channels: it is no AutoencoderKL", f.file("vae_decoder/config.json"))
	case v.LatentChannels > mostWidth:
		return fmt.Errorf("%s: latent_channels is %d, want at most %d", f.file("vae_decoder/config.json"), v.LatentChannels, mostWidth)
	case v.ScalingFactor != nil && *v.ScalingFactor == 0:
		return fmt.Errorf("%s: scaling_factor is 0", f.file("vae_decoder/config.json"))
	case len(u.Widths) == 0 || u.InChannels < 1:
		return fmt.Errorf("%s: no block_out_channels or no in_channels: it is no UNet2DConditionModel", f.file("unet/config.json"))
	case u.TimeCondDim != nil && (*u.TimeCondDim < 1 || *u.TimeCondDim > mostWidth):
		return fmt.Errorf("%s: time_cond_proj_dim is %d, want 1 to %d, or null", f.file("unet/config.json"), *u.TimeCondDim, mostWidth)
	case u.InChannels == 2*v.LatentChannels:
		what = "a UNet that follows instructions (InstructPix2Pix)"
	case u.InChannels != v.LatentChannels && !f.inpaints() && !f.upscales():
		return fmt.Errorf("%s: in_channels is %d, and the VAE's latents have %d", f.file("unet/config.json"), u.InChannels, v.LatentChannels)
	case f.isXL() && u.AdditionEmbedding != "text_time":
		return fmt.Errorf("%s: addition_embed_type is %q; with two text encoders it must be text_time", f.file("unet/config.json"), u.AdditionEmbedding)
	case !f.isXL() && u.AdditionEmbedding != "":
		what = "a UNet with addition_embed_type " + u.AdditionEmbedding
	case u.ClassEmbedding != "" || u.Classes != nil && !f.upscales():
		what = "a UNet with class embeddings"
	case u.EncoderHiddenDimType != "":
		what = "a UNet with encoder_hid_dim_type " + u.EncoderHiddenDimType
	}
	if what != "" {
		return fmt.Errorf("%s: %s is not built yet; those of Stable Diffusion 1.x, 2.x and XL are", f.file("unet/config.json"), what)
	}
	return nil
}

// fillIn works out what jobs must know of the model.
func (f *folder) fillIn(preset defaults) error {
	m := &f.model
	*m = job.Model{
		Name: f.Name, Steps: 50, GuidanceScale: 7.5, TextLayers: f.text[0].Layers, Distilled: f.unet.TimeCondDim != nil, Inpainting: f.inpaints(),
		TextWidth: f.textWidth(), Channels: f.vae.LatentChannels, XL: f.isXL(),
	}
	for _, text := range f.text {
		m.EncoderWidths = append(m.EncoderWidths, text.HiddenSize)
	}
	if info, err := fs.Stat(f.Files, encoderFile); err == nil && !info.IsDir() {
		m.Encoder = true
	}
	if f.isXL() {
		// Layers are skipped in both encoders, the last of each anyway.
		m.GuidanceScale, m.TextLayers = 5, min(f.text[0].Layers, f.text[1].Layers)-1
	}
	if f.upscales() {
		m.Steps, m.GuidanceScale, m.Encoder, m.Scale = 75, 9, false, float64(f.vae.factor())
		m.NoiseLevels = f.noiseLevels
	}
	if f.lcm {
		m.Steps, m.GuidanceScale = 4, 8.5
	}
	m.Multiple = f.vae.factor() << (len(f.unet.Widths) - 1)
	if f.upscales() { // diffusers brings the picture itself to a multiple of the factor
		m.Multiple = max(m.Multiple, f.vae.factor()*f.vae.factor())
	}
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
		return fmt.Errorf("%s: steps is %d, want 1 to 1000", f.file(defaultsFile), *n)
	}
	if g := preset.GuidanceScale; g != nil && (*g < 0 || *g > 100) {
		return fmt.Errorf("%s: guidance_scale is %v, want 0 to 100", f.file(defaultsFile), *g)
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
	if m.Width > job.MaxSide || m.Height > job.MaxSide {
		return fmt.Errorf("%s: its own size of %dx%d is more than the %d to a side that can be painted; a darkroom.json with width and height helps", f.Where(), m.Width, m.Height, job.MaxSide)
	}
	if m.Width%m.Multiple != 0 || m.Height%m.Multiple != 0 {
		return fmt.Errorf("%s: its own size of %dx%d is no multiple of %d, which its UNet and VAE want", f.Where(), m.Width, m.Height, m.Multiple)
	}
	// Where the configuration names a scheduler that isn't built, jobs that name
	// a sampler can still be rendered.
	m.Sampler, _ = f.config.Sampler()
	return nil
}
