// Package job is what every part of darkroom agrees on: what a job is, which
// jobs are well formed, and the key that tells two jobs apart.
//
// A job begins as one JSON object on one line of a batch file. [Decode] reads
// it, [Spec.Resolve] fills in what the line left to the model and checks the
// rest, [Spec.Expand] makes one job of each picture, and [Spec.Key] names the
// result. Marshalled, that is a line of the manifest, which Decode reads back
// to the same Spec.
package job

import (
	"fmt"
	"iter"
	"strconv"
)

// Kind is what a job does.
type Kind string

const (
	Generate Kind = "generate" // a picture from a prompt
	Edit     Kind = "edit"     // a picture from a picture and a prompt
	Upscale  Kind = "upscale"  // a larger picture from a picture
	Video    Kind = "video"    // not built yet
)

// A1111 is the prompt syntax of the A1111 web UI; see package prompt.
const A1111 = "a1111"

// Spec is one job. The zero value of a field that is marked omitempty means
// that it is off; what a line leaves out and a model supplies is filled in by
// [Spec.Resolve]. Decode is the way to make one, since it checks the limits.
type Spec struct {
	ID             string  `json:"id,omitempty"`              // the user's name for the line, [A-Za-z0-9._-]{1,100}; no part of the key
	Kind           Kind    `json:"kind"`                      // Generate where left out
	Model          string  `json:"model"`                     // a name, or name@digest prefix; resolved: name@sha256
	Prompt         string  `json:"prompt"`                    // any UTF-8
	NegativePrompt *string `json:"negative_prompt,omitempty"` // nil and "" are two things (SDXL)
	PromptSyntax   string  `json:"prompt_syntax,omitempty"`   // empty: plain; or a1111

	Seed            uint64     `json:"seed"`                       // 0 .. 2^64-1
	Steps           int        `json:"steps,omitempty"`            // 1 .. 1000
	Sampler         string     `json:"sampler,omitempty"`          // the project's own name once resolved
	Schedule        string     `json:"schedule,omitempty"`         // empty: what the model's scheduler_config says
	GuidanceScale   float64    `json:"guidance_scale"`             // 0 .. 100; no guidance at 1 or below
	GuidanceRescale float64    `json:"guidance_rescale,omitempty"` // 0 .. 1
	GuidanceStart   float64    `json:"guidance_start,omitempty"`   // fraction of the steps, 0 .. 1
	GuidanceEnd     float64    `json:"guidance_end"`               // fraction of the steps, 0 .. 1; 1 where left out
	Eta             float64    `json:"eta,omitempty"`              // 0 .. 1, for ddim
	ClipSkip        int        `json:"clip_skip,omitempty"`        // text encoder layers left out at its end
	Width           int        `json:"width,omitempty"`            // pixels that are painted
	Height          int        `json:"height,omitempty"`           // pixels that are painted
	Image           string     `json:"image,omitempty"`            // edit, upscale: a file beside the batch file; resolved: inputs/<sha256>.<ext>
	Mask            string     `json:"mask,omitempty"`             // edit: as image
	Strength        float64    `json:"strength,omitempty"`         // edit: above 0, up to 1
	MaskBlur        float64    `json:"mask_blur,omitempty"`        // pixels
	MaskPadding     *int       `json:"mask_padding,omitempty"`     // pixels
	KeepUnmasked    bool       `json:"keep_unmasked,omitempty"`    // put the input's own pixels back
	Extend          *Extend    `json:"extend,omitempty"`           // paint outward
	Scale           float64    `json:"scale,omitempty"`            // upscale
	NoiseLevel      *int       `json:"noise_level,omitempty"`      // upscale: 0 .. 350
	Upscale         *Upscaling `json:"upscale,omitempty"`          // after a generate or an edit

	Control    []Control `json:"control,omitempty"`
	LoRAs      []LoRA    `json:"loras,omitempty"`
	Embeddings []string  `json:"embeddings,omitempty"` // as model

	N      int            `json:"n,omitempty"`      // pictures of this line, 1 .. 10,000; the producer expands it; no part of the key
	Format string         `json:"format,omitempty"` // png, jpeg or npy (the latent)
	Labels map[string]any `json:"labels,omitempty"` // string, json.Number, bool or nil; carried along; no part of the key

	given  fieldSet // which of the fields the line named whose zero value means something
	source Input    // what Image names, where Locate has found it
}

// fieldSet says which fields were given, where a field's zero value can't.
type fieldSet uint8

const (
	givenSeed fieldSet = 1 << iota
	givenGuidanceScale
	givenGuidanceEnd
)

// Guided tells whether any step of the job is guided, which takes a second
// row a step and makes use of the negative prompt.
func (s Spec) Guided() bool { return s.GuidanceScale > 1 && s.GuidanceStart < s.GuidanceEnd }

// GuidedAt tells whether the i-th of n steps, from 0, is guided: i/n lies in
// [guidance_start, guidance_end).
func (s Spec) GuidedAt(i, n int) bool {
	at := float64(i) / float64(n)
	return s.Guided() && s.GuidanceStart <= at && at < s.GuidanceEnd
}

// Expand yields a job for each of the line's n pictures: seeds seed .. seed+n-1,
// ids id-0 .. id-(n-1) where n is above 1. A line without a seed begins at
// seed. Seeds above 2^64-1 are a fault.
func (s Spec) Expand(seed uint64) (iter.Seq[Spec], Faults) {
	if s.given&givenSeed == 0 && s.Seed == 0 {
		s.Seed = seed
	}
	s.given |= givenSeed
	n := max(s.N, 1)
	s.N = 0
	if fault, bad := seedFault(s.Seed, n); bad {
		return nil, Faults{fault}
	}
	return func(yield func(Spec) bool) {
		for i := range n {
			one := s
			one.Seed += uint64(i)
			if n > 1 && s.ID != "" {
				one.ID = s.ID + "-" + strconv.Itoa(i)
			}
			if !yield(one) {
				return
			}
		}
	}, nil
}

func seedFault(seed uint64, n int) (Fault, bool) {
	last := seed + uint64(n-1)
	return Fault{
		Field: "seed", What: "too large", Value: strconv.FormatUint(seed, 10),
		Want: fmt.Sprintf("%d pictures need seeds up to 2^64-1", n),
	}, last < seed
}

// Inpaints tells whether the job paints only a part of its picture anew.
func (s Spec) Inpaints() bool { return s.Mask != "" || s.Extend != nil }

// Extend is how many pixels an edit paints beyond each side of its picture.
type Extend struct {
	Left   int `json:"left,omitempty"`
	Top    int `json:"top,omitempty"`
	Right  int `json:"right,omitempty"`
	Bottom int `json:"bottom,omitempty"`
}

// Upscaling is an upscale that follows a generate or an edit.
type Upscaling struct {
	Model string  `json:"model"`           // as a job's
	Scale float64 `json:"scale,omitempty"` // how many times as wide; left out: as the model makes it
}

// Control is one ControlNet's part in a job.
type Control struct {
	Model      string  `json:"model"`                // as a job's
	Image      string  `json:"image"`                // as a job's
	Scale      float64 `json:"scale"`                // 1 where left out
	Start      float64 `json:"start,omitempty"`      // fraction of the steps
	End        float64 `json:"end"`                  // fraction of the steps; 1 where left out
	Preprocess string  `json:"preprocess,omitempty"` // canny, luminance, tile or none
	GuessMode  bool    `json:"guess_mode,omitempty"` // it leads conditional rows only, and its first residuals less
}

// LoRA is one low-rank adaptation and its strength.
type LoRA struct {
	Name  string  `json:"name"`  // as a job's model
	Scale float64 `json:"scale"` // 1 where left out
}
