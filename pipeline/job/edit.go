package job

import (
	"fmt"
	"math"
)

// defaultStrength is how much an edit changes its picture where the line
// doesn't say; what a picture is extended by has nothing to start from.
const defaultStrength = .8

// resolveEdit fills in what an edit leaves open, and checks what depends on the
// model and on the picture.
func (s *Spec) resolveEdit(m Model) (faults Faults) {
	fault := func(field, what, want string) {
		faults = append(faults, Fault{Field: field, What: what, Want: want})
	}
	if m.Inpainting && s.Kind == Generate {
		fault("kind", "out of place `generate`", "this model only paints parts of a picture: want `edit`, an `image` and a `mask`")
	}
	if s.Kind != Edit {
		return faults
	}
	if !m.Encoder {
		fault("kind", "out of place `edit`", "this model has no VAE encoder to read a picture with")
	}
	if m.Inpainting && !s.Inpaints() {
		fault("mask", "missing", "this model only paints the part of a picture that a `mask` marks, or that it is to `extend`")
	}
	if s.Strength == 0 {
		s.Strength = defaultStrength
		if s.Extend != nil {
			s.Strength = 1
		}
	}
	// A latent consistency model makes all of its steps, however weak the edit is,
	// unless a ControlNet leads it.
	spread := m.Distilled && s.Sampler == "lcm" && !s.Inpaints() && len(s.Control) == 0
	if s.Steps > 0 && !spread && int(float64(s.Steps)*s.Strength) < 1 {
		fault("strength", fmt.Sprintf("%v of %d steps is less than one step", s.Strength, s.Steps), fmt.Sprintf("want at least %v", math.Ceil(1000/float64(s.Steps))/1000))
	}
	multiple := max(m.Multiple, 1)
	width, height := s.Extend.extended(s.source.Width, s.source.Height)
	if err := s.Extend.Check(s.source.Width, s.source.Height); err != nil {
		fault("extend", err.Error(), "")
	}
	if width == 0 || height == 0 || s.MaskPadding != nil {
		return faults // the part around the mask gets the model's own size
	}
	for _, side := range []struct {
		name   string
		own    int
		pixels *int
	}{{"width", width, &s.Width}, {"height", height, &s.Height}} {
		if *side.pixels > 0 {
			continue
		}
		switch *side.pixels = side.own / multiple * multiple; {
		case *side.pixels == 0:
			fault("image", fmt.Sprintf("its %s of %d pixels is less than the %d that this model paints at least", side.name, side.own, multiple), "a `"+side.name+"` enlarges it")
		case *side.pixels > MaxSide:
			fault("image", fmt.Sprintf("its %s of %d pixels is more than %d", side.name, side.own, MaxSide), "a `"+side.name+"` makes it smaller")
		}
	}
	return faults
}

// extended is the size of a picture with what it is extended by; 0x0, which isn't
// known yet, stays that.
func (e *Extend) extended(width, height int) (int, int) {
	if e == nil || width == 0 || height == 0 {
		return width, height
	}
	return e.Left + width + e.Right, e.Top + height + e.Bottom
}

// Check says what is wrong with the size of a picture with what it is extended by,
// in a few words.
func (e *Extend) Check(width, height int) error {
	if w, h := e.extended(width, height); e != nil && w*h > MaxPixels {
		return fmt.Errorf("extended, a picture of %dx%d pixels has %dx%d, and at most %d million can be held", width, height, w, h, MaxPixels>>20)
	}
	return nil
}
