package job

// ModelKind is what a model in the library is for.
type ModelKind string

const (
	PipelineModel   ModelKind = ""           // renders: text encoders, a UNet, a VAE
	ControlNetModel ModelKind = "controlnet" // guides a pipeline's UNet by a picture
	UpscalerModel   ModelKind = "upscaler"   // makes a picture larger: one picture in, one out
	LoRAModel       ModelKind = "lora"       // a low-rank adaptation of a pipeline's weights
	EmbeddingModel  ModelKind = "embedding"  // a word that a pipeline's text encoders learn (textual inversion)
)

// String names the kind, with its article, in the middle of a sentence.
func (k ModelKind) String() string {
	switch k {
	case PipelineModel:
		return "a pipeline"
	case ControlNetModel:
		return "a ControlNet"
	case UpscalerModel:
		return "an upscaler"
	case LoRAModel:
		return "a LoRA"
	case EmbeddingModel:
		return "an embedding"
	}
	return "a model of the kind " + string(k)
}

// Model is what must be known of a model to resolve and check its jobs. A
// consumer publishes it in the store's catalogue, so that a producer needs no
// copy of the weights.
type Model struct {
	Name   string    `json:"name"`
	Digest string    `json:"digest"` // SHA-256 of the folder's content, or of the file, 64 hex digits
	Kind   ModelKind `json:"kind,omitempty"`

	// What must agree between a pipeline and what is used with it.
	TextWidth     int   `json:"text_width,omitempty"`     // pipelines, ControlNets, LoRAs: numbers of a token as the UNet takes it; 0 where a LoRA doesn't say
	EncoderWidths []int `json:"encoder_widths,omitempty"` // pipelines, LoRAs, embeddings: numbers of a token in each text encoder; 0 where a LoRA doesn't say
	Channels      int   `json:"channels,omitempty"`       // pipelines, ControlNets: of a latent
	XL            bool  `json:"xl,omitempty"`             // pipelines, ControlNets: of Stable Diffusion XL's family

	// Pipelines.
	Width         int     `json:"width,omitempty"`          // pixels of a picture whose job names no size
	Height        int     `json:"height,omitempty"`         // pixels
	Multiple      int     `json:"multiple,omitempty"`       // widths and heights are multiples of this: VAE factor x 2^down-samplings
	Steps         int     `json:"steps,omitempty"`          // where a job names none
	GuidanceScale float64 `json:"guidance_scale,omitempty"` // where a job names none
	Sampler       string  `json:"sampler,omitempty"`        // where a job names none: the scheduler_config's class; empty: none that is built
	Distilled     bool    `json:"distilled,omitempty"`      // guidance is an input of the UNet (LCM's timestep_cond): one row, no negative prompt
	Encoder       bool    `json:"encoder,omitempty"`        // it has a VAE encoder: edits can start from a picture
	Inpainting    bool    `json:"inpainting,omitempty"`     // the UNet takes a mask and what it leaves of the picture: it renders nothing else
	TextLayers    int     `json:"text_layers,omitempty"`    // layers of the (first) text encoder: clip_skip is smaller
	Controls      int     `json:"controls,omitempty"`       // ControlNets that the UNet's graph holds: it takes no others

	Scale       float64 `json:"scale,omitempty"`        // upscalers: how many times as wide a picture becomes; 0 where the graph doesn't tell; of pipelines only those have one that upscale and do nothing else
	NoiseLevels int     `json:"noise_levels,omitempty"` // pipelines that upscale: the largest noise_level

	// LoRAs and embeddings.
	Parts   []string `json:"parts,omitempty"`   // LoRAs: the networks that they change, of unet, text_encoder and text_encoder_2
	Token   string   `json:"token,omitempty"`   // embeddings: what stands for it in a prompt
	Vectors int      `json:"vectors,omitempty"` // embeddings: tokens that it becomes
}

// Ref is the model's pinned name, name@digest.
func (m Model) Ref() string { return m.Name + "@" + m.Digest }
