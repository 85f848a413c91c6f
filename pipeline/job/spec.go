// Package job is what every part of darkroom agrees on: what a job is, which
// jobs are well formed, and the key that tells two jobs apart.
//
// A job begins as one JSON object on one line of a batch file. [Decode] reads
// it, [Spec.Resolve] fills in what the line left to the model and checks the
// rest, and [Spec.Key] names the result.
package job

// Kind is what a job does.
type Kind string

const (
	Generate Kind = "generate" // a picture from a prompt
	Edit     Kind = "edit"     // a picture from a picture and a prompt
	Upscale  Kind = "upscale"  // a larger picture from a picture
)

// Spec is one job. The zero value of a field that is marked omitempty means
// that it is off; what a line leaves out and a model supplies is filled in by
// [Spec.Resolve].
type Spec struct {
	ID             string  `json:"id,omitempty"`              // the user's name for the line, [A-Za-z0-9._-]{1,100}; no part of the key
	Kind           Kind    `json:"kind"`                      // Generate where left out
	Model          string  `json:"model"`                     // a name, or name@digest prefix; resolved: name@sha256
	Prompt         string  `json:"prompt"`                    // any UTF-8
	NegativePrompt *string `json:"negative_prompt,omitempty"` // nil and "" are two things (SDXL)
	PromptSyntax   string  `json:"prompt_syntax,omitempty"`   // empty: plain; or a1111

	Seed            uint64     `json:"seed"`                       // 0 .. 2^64-1
	Steps           int        `json:"steps"`                      // 1 .. 1000
	Sampler         string     `json:"sampler"`                    // the project's own name once resolved
	Schedule        string     `json:"schedule,omitempty"`         // empty: what the model's scheduler_config says
	GuidanceScale   float64    `json:"guidance_scale"`             // 0 .. 100; no guidance at 1 or below
	GuidanceRescale float64    `json:"guidance_rescale,omitempty"` // 0 .. 1
	GuidanceStart   float64    `json:"guidance_start,omitempty"`   // fraction of the steps, 0 .. 1
	GuidanceEnd     float64    `json:"guidance_end,omitempty"`     // fraction of the steps, 0 .. 1; resolved: 1 where left out
	Eta             float64    `json:"eta,omitempty"`              // 0 .. 1, for ddim
	ClipSkip        int        `json:"clip_skip,omitempty"`        // text encoder layers left out at its end
	Width           int        `json:"width"`                      // pixels
	Height          int        `json:"height"`                     // pixels
	Image           string     `json:"image,omitempty"`            // edit, upscale: a file beside the batch file; resolved: inputs/<sha256>.<ext>
	Mask            string     `json:"mask,omitempty"`             // edit: as image
	Strength        float64    `json:"strength,omitempty"`         // edit: 0 .. 1
	MaskBlur        float64    `json:"mask_blur,omitempty"`        // pixels
	MaskPadding     *int       `json:"mask_padding,omitempty"`     // pixels
	KeepUnmasked    bool       `json:"keep_unmasked,omitempty"`    // put the input's own pixels back
	Extend          *Extend    `json:"extend,omitempty"`           // paint outward
	Scale           float64    `json:"scale,omitempty"`            // upscale
	NoiseLevel      int        `json:"noise_level,omitempty"`      // upscale
	Upscale         *Upscaling `json:"upscale,omitempty"`          // after a generate or an edit

	Control    []Control `json:"control,omitempty"`
	LoRAs      []LoRA    `json:"loras,omitempty"`
	Embeddings []string  `json:"embeddings,omitempty"`

	N      int            `json:"n,omitempty"`      // pictures of this line, 1 .. 10,000; the producer expands it; no part of the key
	Format string         `json:"format,omitempty"` // png, jpeg or npy (the latent)
	Labels map[string]any `json:"labels,omitempty"` // flat; carried along; no part of the key
}

// Extend is how many pixels an edit paints beyond each side of its picture.
type Extend struct {
	Left   int `json:"left,omitempty"`
	Top    int `json:"top,omitempty"`
	Right  int `json:"right,omitempty"`
	Bottom int `json:"bottom,omitempty"`
}

// Upscaling is an upscale that follows a generate or an edit.
type Upscaling struct {
	Model string  `json:"model"`
	Scale float64 `json:"scale,omitempty"`
}

// Control is one ControlNet's part in a job.
type Control struct {
	Model      string  `json:"model"`
	Image      string  `json:"image"`
	Scale      float64 `json:"scale"`                // 1 where left out
	Start      float64 `json:"start,omitempty"`      // fraction of the steps
	End        float64 `json:"end"`                  // fraction of the steps; 1 where left out
	Preprocess string  `json:"preprocess,omitempty"` // canny, luminance, tile or none
	GuessMode  bool    `json:"guess_mode,omitempty"`
}

// LoRA is one low-rank adaptation and its strength.
type LoRA struct {
	Name  string  `json:"name"`
	Scale float64 `json:"scale"` // 1 where left out
}
