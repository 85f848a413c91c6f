package job

import (
	"path"
	"strings"
	"unicode"
)

const (
	// MaxScale is how many times as wide a picture can become.
	MaxScale = 16
	// MaxSide is how long the sides of a picture can be that is painted or
	// enlarged, pixels.
	MaxSide = 8192
	// MaxPixels is how many pixels a picture can have that a job starts from, with
	// what it is extended by.
	MaxPixels   = 64 << 20
	minStrength = 1e-3 // one of 1,000 steps
)

// specMembers are the fields of a line and the limits of each by itself.
var specMembers = newMembers(
	member[Spec]{"id", func(d *decoder, s *Spec) { s.ID = d.name(wantID, validID) }},
	member[Spec]{"kind", func(d *decoder, s *Spec) { s.Kind = Kind(d.oneOf("generate", "edit", "upscale", "video")) }},
	member[Spec]{"model", func(d *decoder, s *Spec) { s.Model = d.name(wantModel, validModel) }},
	member[Spec]{"prompt", func(d *decoder, s *Spec) { s.Prompt, _ = d.string("a string") }},
	member[Spec]{"negative_prompt", func(d *decoder, s *Spec) {
		if d.literal("null") { // there is none, which is not an empty one
			s.NegativePrompt = nil
		} else if text, ok := d.string("a string, or null for none"); ok {
			s.NegativePrompt = &text
		}
	}},
	member[Spec]{"prompt_syntax", func(d *decoder, s *Spec) {
		if s.PromptSyntax = d.oneOf("plain", A1111); s.PromptSyntax == "plain" {
			s.PromptSyntax = ""
		}
	}},
	member[Spec]{"seed", func(d *decoder, s *Spec) { s.Seed = d.whole(0, 1<<64-1); d.given(givenSeed) }},
	member[Spec]{"steps", func(d *decoder, s *Spec) { s.Steps = d.int(1, 1000) }},
	member[Spec]{"sampler", func(d *decoder, s *Spec) { s.Sampler = d.name("a sampler's name", short) }},
	member[Spec]{"schedule", func(d *decoder, s *Spec) { s.Schedule = d.name("a schedule's name", short) }},
	member[Spec]{"guidance_scale", func(d *decoder, s *Spec) { s.GuidanceScale = d.float(0, 100); d.given(givenGuidanceScale) }},
	member[Spec]{"guidance_rescale", func(d *decoder, s *Spec) { s.GuidanceRescale = d.float(0, 1) }},
	member[Spec]{"guidance_start", func(d *decoder, s *Spec) { s.GuidanceStart = d.float(0, 1) }},
	member[Spec]{"guidance_end", func(d *decoder, s *Spec) { s.GuidanceEnd = d.float(0, 1); d.given(givenGuidanceEnd) }},
	member[Spec]{"eta", func(d *decoder, s *Spec) { s.Eta = d.float(0, 1) }},
	member[Spec]{"clip_skip", func(d *decoder, s *Spec) { s.ClipSkip = d.int(0, 100) }},
	member[Spec]{"width", func(d *decoder, s *Spec) { s.Width = d.int(1, MaxSide) }},
	member[Spec]{"height", func(d *decoder, s *Spec) { s.Height = d.int(1, MaxSide) }},
	member[Spec]{"image", func(d *decoder, s *Spec) { s.Image = d.name(wantFile, validFile) }},
	member[Spec]{"mask", func(d *decoder, s *Spec) { s.Mask = d.name(wantFile, validFile) }},
	member[Spec]{"strength", func(d *decoder, s *Spec) { s.Strength = d.float(minStrength, 1) }},
	member[Spec]{"mask_blur", func(d *decoder, s *Spec) { s.MaskBlur = d.float(0, 1000) }},
	member[Spec]{"mask_padding", func(d *decoder, s *Spec) { s.MaskPadding = new(d.int(0, MaxSide)) }},
	member[Spec]{"keep_unmasked", func(d *decoder, s *Spec) { s.KeepUnmasked = d.bool() }},
	member[Spec]{"extend", func(d *decoder, s *Spec) {
		var e Extend
		before := len(d.faults)
		if readObject(d, extendMembers, &e); e != (Extend{}) {
			s.Extend = &e
		} else if len(d.faults) == before {
			d.fault("nothing is painted", nil, "at least one side above 0")
		}
	}},
	member[Spec]{"scale", func(d *decoder, s *Spec) { s.Scale = d.float(1, MaxScale) }},
	member[Spec]{"noise_level", func(d *decoder, s *Spec) { s.NoiseLevel = new(d.int(0, 350)) }},
	member[Spec]{"upscale", func(d *decoder, s *Spec) {
		s.Upscale = new(Upscaling)
		readObject(d, upscalingMembers, s.Upscale, "model")
	}},
	member[Spec]{"control", func(d *decoder, s *Spec) {
		s.Control = readList(d, func(d *decoder, c *Control) {
			*c = Control{Scale: 1, End: 1}
			before := len(d.faults)
			readObject(d, controlMembers, c, "image")
			if c.Start > c.End && len(d.faults) == before {
				d.fault("control that ends before it starts", nil, "`start` <= `end`")
			}
		})
	}},
	member[Spec]{"loras", func(d *decoder, s *Spec) {
		s.LoRAs = readList(d, func(d *decoder, l *LoRA) {
			*l = LoRA{Scale: 1}
			readObject(d, loraMembers, l, "name")
		})
	}},
	member[Spec]{"embeddings", func(d *decoder, s *Spec) {
		s.Embeddings = readList(d, func(d *decoder, name *string) { *name = d.name(wantModel, validModel) })
	}},
	member[Spec]{"n", func(d *decoder, s *Spec) { s.N = d.int(1, 10_000) }},
	member[Spec]{"format", func(d *decoder, s *Spec) { s.Format = d.oneOf("png", "jpeg", "npy") }},
	member[Spec]{"labels", func(d *decoder, s *Spec) { s.Labels = d.labels() }},
)

var extendMembers = newMembers(
	member[Extend]{"left", func(d *decoder, e *Extend) { e.Left = d.int(0, MaxSide) }},
	member[Extend]{"top", func(d *decoder, e *Extend) { e.Top = d.int(0, MaxSide) }},
	member[Extend]{"right", func(d *decoder, e *Extend) { e.Right = d.int(0, MaxSide) }},
	member[Extend]{"bottom", func(d *decoder, e *Extend) { e.Bottom = d.int(0, MaxSide) }},
)

var upscalingMembers = newMembers(
	member[Upscaling]{"model", func(d *decoder, u *Upscaling) { u.Model = d.name(wantModel, validModel) }},
	member[Upscaling]{"scale", func(d *decoder, u *Upscaling) { u.Scale = d.float(1, MaxScale) }},
)

var controlMembers = newMembers(
	member[Control]{"model", func(d *decoder, c *Control) { c.Model = d.name(wantModel, validModel) }},
	member[Control]{"image", func(d *decoder, c *Control) { c.Image = d.name(wantFile, validFile) }},
	member[Control]{"scale", func(d *decoder, c *Control) { c.Scale = d.float(0, 10) }},
	member[Control]{"start", func(d *decoder, c *Control) { c.Start = d.float(0, 1) }},
	member[Control]{"end", func(d *decoder, c *Control) { c.End = d.float(0, 1) }},
	member[Control]{"preprocess", func(d *decoder, c *Control) { c.Preprocess = d.oneOf("canny", "luminance", "tile", "none") }},
	member[Control]{"guess_mode", func(d *decoder, c *Control) { c.GuessMode = d.bool() }},
)

var loraMembers = newMembers(
	member[LoRA]{"name", func(d *decoder, l *LoRA) { l.Name = d.name(wantModel, validModel) }},
	member[LoRA]{"scale", func(d *decoder, l *LoRA) { l.Scale = d.float(-10, 10) }},
)

const (
	wantID    = "1 to 100 of A-Z, a-z, 0-9, dot, underscore and hyphen"
	wantModel = "a name in the model library, or name@ and 4 to 64 of the digits 0-9 a-f of its digest"
	wantFile  = "the path of a file in the batch file's folder"
)

func validID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 100
}

// validFile tells whether a path stays in the folder it is looked up in, as
// far as its text goes.
func validFile(file string) bool {
	return file != "" && len(file) <= 1000 && !path.IsAbs(file) && !strings.ContainsAny(file, `\:`) &&
		file != ".." && !strings.HasPrefix(path.Clean(file), "../") && path.Clean(file) != "." &&
		!strings.ContainsFunc(file, unicode.IsControl)
}

func validName(name string) bool {
	return validFile(name) && len(name) <= 200 && !strings.Contains(name, "@")
}

func validModel(model string) bool {
	name, digest, pinned := strings.Cut(model, "@")
	return validName(name) && (!pinned || 4 <= len(digest) && len(digest) <= 64 && strings.Trim(digest, "0123456789abcdef") == "")
}

func short(name string) bool { return 1 <= len(name) && len(name) <= 100 }
