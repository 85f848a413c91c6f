package job

// Model is what must be known of a model to resolve and check its jobs. A
// consumer publishes it in the store's catalogue, so that a producer needs no
// copy of the weights.
type Model struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // SHA-256 of the folder's content, 64 hex digits

	Width    int `json:"width"`    // pixels of a picture whose job names no size
	Height   int `json:"height"`   // pixels
	Multiple int `json:"multiple"` // widths and heights are multiples of this: VAE factor x 2^down-samplings

	Steps         int     `json:"steps"`               // where a job names none
	GuidanceScale float64 `json:"guidance_scale"`      // where a job names none
	Sampler       string  `json:"sampler"`             // where a job names none: the scheduler_config's class; empty: none that is built
	Distilled     bool    `json:"distilled,omitempty"` // guidance is an input of the UNet (LCM's timestep_cond): one row, no negative prompt
	TextLayers    int     `json:"text_layers"`         // layers of the (first) text encoder: clip_skip is smaller
}

// Ref is the model's pinned name, name@digest.
func (m Model) Ref() string { return m.Name + "@" + m.Digest }
