package job

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Key tells jobs apart: jobs of one key have the same picture.
type Key [sha256.Size]byte

// String returns the key as 64 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Short returns the key's first 12 hex digits, as file names hold them.
func (k Key) Short() string { return hex.EncodeToString(k[:6]) }

// Key returns the SHA-256 of the canonical form of a resolved job.
func (s Spec) Key() Key {
	var buf [1024]byte
	return sha256.Sum256(s.appendCanonical(buf[:0]))
}

// Canonical returns the canonical form of a resolved job: JSON without blanks,
// keys in byte order, strings escaped only where JSON demands it, numbers in
// their shortest form without an exponent. A model stands there as its digest,
// and so does a picture.
// What is off or doesn't apply is left out, so that a field which is added to
// darkroom later changes no key; so are id, n and labels.
func (s Spec) Canonical() []byte { return s.appendCanonical(nil) }

func (s *Spec) appendCanonical(b []byte) []byte {
	guided := s.Guided()
	c := canon{append(b, '{')}
	if s.ClipSkip > 0 {
		c.int("clip_skip", s.ClipSkip)
	}
	if len(s.Control) > 0 {
		c.list("control", len(s.Control), func(i int) { c.control(s.Control[i]) })
	}
	if len(s.Embeddings) > 0 {
		c.embeddings(s.Embeddings)
	}
	if s.Eta > 0 && s.Sampler == "ddim" {
		c.float("eta", s.Eta)
	}
	if s.Extend != nil {
		c.sides("extend", *s.Extend)
	}
	c.string("format", s.Format)
	if guided {
		if s.GuidanceEnd != 1 {
			c.float("guidance_end", s.GuidanceEnd)
		}
		if s.GuidanceRescale != 0 {
			c.float("guidance_rescale", s.GuidanceRescale)
		}
		c.float("guidance_scale", s.GuidanceScale)
		if s.GuidanceStart != 0 {
			c.float("guidance_start", s.GuidanceStart)
		}
	}
	if s.Kind != Upscale { // whose size is that of its picture, times its scale
		c.int("height", s.Height)
	}
	if s.Image != "" {
		c.string("image", digestOf(s.Image))
	}
	if s.KeepUnmasked {
		c.bool("keep_unmasked", true)
	}
	c.string("kind", string(s.Kind))
	c.loras(s.LoRAs)
	if s.Mask != "" {
		c.string("mask", digestOf(s.Mask))
	}
	if s.MaskBlur > 0 {
		c.float("mask_blur", s.MaskBlur)
	}
	if s.MaskPadding != nil {
		c.int("mask_padding", *s.MaskPadding)
	}
	c.model("model", s.Model)
	if guided && s.NegativePrompt != nil {
		c.string("negative_prompt", *s.NegativePrompt)
	}
	if s.NoiseLevel != nil {
		c.int("noise_level", *s.NoiseLevel)
	}
	sampled := s.Sampled()
	if sampled {
		c.string("prompt", s.Prompt)
		if s.PromptSyntax != "" {
			c.string("prompt_syntax", s.PromptSyntax)
		}
		c.string("sampler", s.Sampler)
	}
	if s.Scale > 0 {
		c.float("scale", s.Scale)
	}
	if s.Schedule != "" {
		c.string("schedule", s.Schedule)
	}
	if sampled {
		c.key("seed")
		c.b = strconv.AppendUint(c.b, s.Seed, 10)
		c.int("steps", s.Steps)
	}
	if s.Strength > 0 {
		c.float("strength", s.Strength)
	}
	if s.Upscale != nil {
		c.object("upscale", func() {
			c.model("model", s.Upscale.Model)
			if s.Upscale.Scale > 0 {
				c.float("scale", s.Upscale.Scale)
			}
		})
	}
	if s.Kind != Upscale {
		c.int("width", s.Width)
	}
	return append(c.b, '}')
}

// control writes a ControlNet's part in a job.
func (c *canon) control(control Control) {
	if control.End != 1 {
		c.float("end", control.End)
	}
	if control.GuessMode {
		c.bool("guess_mode", true)
	}
	c.string("image", digestOf(control.Image))
	c.model("model", control.Model)
	if control.Preprocess != "" && control.Preprocess != "none" {
		c.string("preprocess", control.Preprocess)
	}
	if control.Scale != 1 {
		c.float("scale", control.Scale)
	}
	if control.Start != 0 {
		c.float("start", control.Start)
	}
}

// loras writes those that change anything. Their order is no matter.
func (c *canon) loras(loras []LoRA) {
	active := ActiveLoRAs(loras)
	if len(active) == 0 {
		return
	}
	c.list("loras", len(active), func(i int) {
		c.model("model", active[i].Name)
		if active[i].Scale != 1 {
			c.float("scale", active[i].Scale)
		}
	})
}

// ActiveLoRAs are a resolved job's LoRAs without those of no strength, ordered by
// digest: sums of the same numbers in another order have other last bits.
func ActiveLoRAs(loras []LoRA) []LoRA {
	active := slices.DeleteFunc(slices.Clone(loras), func(l LoRA) bool { return l.Scale == 0 })
	slices.SortFunc(active, func(a, b LoRA) int {
		_, digestA := Pinned(a.Name)
		_, digestB := Pinned(b.Name)
		return strings.Compare(digestA, digestB)
	})
	return active
}

// embeddings writes names beside digests: of some files the name is the word
// that stands in prompts. Their order is no matter.
func (c *canon) embeddings(refs []string) {
	refs = slices.Sorted(slices.Values(refs))
	c.list("embeddings", len(refs), func(i int) {
		name, _ := Pinned(refs[i])
		c.model("model", refs[i])
		c.string("name", name)
	})
}

// canon writes an object; who calls keeps the order of the keys.
type canon struct{ b []byte }

func (c *canon) key(key string) {
	if c.b[len(c.b)-1] != '{' {
		c.b = append(c.b, ',')
	}
	c.b = append(append(append(c.b, '"'), key...), `":`...)
}

// object writes an object, whose members write does.
func (c *canon) object(key string, write func()) {
	c.key(key)
	c.b = append(c.b, '{')
	write()
	c.b = append(c.b, '}')
}

// list writes a list of n objects, whose members write does.
func (c *canon) list(key string, n int, write func(i int)) {
	c.key(key)
	for i := range n {
		c.b = append(c.b, "[,"[min(i, 1)], '{')
		write(i)
		c.b = append(c.b, '}')
	}
	c.b = append(c.b, ']')
}

// model writes a model's digest.
func (c *canon) model(key, ref string) { c.string(key, ref[strings.IndexByte(ref, '@')+1:]) }

func (c *canon) int(key string, n int) {
	c.key(key)
	c.b = strconv.AppendInt(c.b, int64(n), 10)
}

func (c *canon) bool(key string, b bool) {
	c.key(key)
	c.b = strconv.AppendBool(c.b, b)
}

func (c *canon) sides(key string, e Extend) {
	c.object(key, func() {
		for _, side := range []struct {
			key    string
			pixels int
		}{{"bottom", e.Bottom}, {"left", e.Left}, {"right", e.Right}, {"top", e.Top}} {
			if side.pixels > 0 {
				c.int(side.key, side.pixels)
			}
		}
	})
}

func (c *canon) float(key string, x float64) {
	c.key(key)
	c.b = strconv.AppendFloat(c.b, x, 'f', -1, 64)
}

func (c *canon) string(key, text string) {
	c.key(key)
	c.b = append(c.b, '"')
	for i := range len(text) {
		switch b := text[i]; {
		case b == '"' || b == '\\':
			c.b = append(c.b, '\\', b)
		case b < ' ':
			const digits, short, letters = "0123456789abcdef", "\b\t\n\f\r", "btnfr"
			if i := strings.IndexByte(short, b); i >= 0 {
				c.b = append(c.b, '\\', letters[i])
			} else {
				c.b = append(c.b, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
			}
		default:
			c.b = append(c.b, b)
		}
	}
	c.b = append(c.b, '"')
}
