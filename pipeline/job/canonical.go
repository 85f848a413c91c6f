package job

import (
	"crypto/sha256"
	"encoding/hex"
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
// their shortest form without an exponent. A model stands there as its digest.
// What is off or doesn't apply is left out, so that a field which is added to
// darkroom later changes no key; so are id, n and labels.
func (s Spec) Canonical() []byte { return s.appendCanonical(nil) }

func (s *Spec) appendCanonical(b []byte) []byte {
	guided := s.Guided()
	c := canon{append(b, '{')}
	if s.ClipSkip > 0 {
		c.int("clip_skip", s.ClipSkip)
	}
	if s.Eta > 0 && s.Sampler == "ddim" {
		c.float("eta", s.Eta)
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
	c.int("height", s.Height)
	c.string("kind", string(s.Kind))
	c.string("model", s.Model[strings.IndexByte(s.Model, '@')+1:])
	if guided && s.NegativePrompt != nil {
		c.string("negative_prompt", *s.NegativePrompt)
	}
	c.string("prompt", s.Prompt)
	c.string("sampler", s.Sampler)
	if s.Schedule != "" {
		c.string("schedule", s.Schedule)
	}
	c.key("seed")
	c.b = strconv.AppendUint(c.b, s.Seed, 10)
	c.int("steps", s.Steps)
	c.int("width", s.Width)
	return append(c.b, '}')
}

// canon writes an object; who calls keeps the order of the keys.
type canon struct{ b []byte }

func (c *canon) key(key string) {
	if c.b[len(c.b)-1] != '{' {
		c.b = append(c.b, ',')
	}
	c.b = append(append(append(c.b, '"'), key...), `":`...)
}

func (c *canon) int(key string, n int) {
	c.key(key)
	c.b = strconv.AppendInt(c.b, int64(n), 10)
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
