// Package score tells whether a picture shows its scene: one to three shapes
// with colours, sizes and places on a background, as the house model is asked
// to draw them.
//
// Every part is judged by fixed rules, so a picture that nobody has seen before
// can be scored: Check finds the pixels of a shape's colour, compares their
// outline with the outlines of all shapes, and measures where they are.
package score

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// A Scene is what a prompt asks for.
type Scene struct {
	Objects []Object `json:"objects"` // one, two or three

	// Place is where a lone object is asked to be: "left", "right", "top",
	// "bottom", "middle", "top left" and so on, or empty for anywhere.
	Place string `json:"place,omitempty"`

	// Relation is where the first of two objects is, seen from the second:
	// "left", "right", "above" or "below". Three objects stand in a row, from
	// left to right.
	Relation string `json:"relation,omitempty"`

	Background Background `json:"background"`
}

// An Object is one shape of a scene.
type Object struct {
	Shape string `json:"shape"`
	Color string `json:"color"`
	Size  string `json:"size,omitempty"` // "small", "large", or empty for any
}

// A Background fills what the objects leave free.
type Background struct {
	Kind string `json:"kind"` // "plain", "gradient" or "landscape"

	Color string `json:"color,omitempty"` // of a plain one; empty is the colour of paper

	Top    string `json:"top,omitempty"` // colours of a gradient
	Bottom string `json:"bottom,omitempty"`

	Land string `json:"land,omitempty"` // of a landscape: "sky", "sea" or "hills"
	Time string `json:"time,omitempty"` // "day", "night" or "sunset"
}

// A Prompt is a scene in words.
type Prompt struct {
	ID     string `json:"id"`
	Prompt string `json:"prompt"`
	Unseen bool   `json:"unseen"` // holds a pair of colour and shape that training left out
	Scene  Scene  `json:"scene"`
}

// ReadPrompts reads one prompt a line of JSON.
func ReadPrompts(r io.Reader) ([]Prompt, error) {
	var prompts []Prompt
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		var p Prompt
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&p); err != nil {
			return nil, fmt.Errorf("reading prompts: line %d: %w", n, err)
		}
		if err := p.Scene.check(); err != nil {
			return nil, fmt.Errorf("reading prompts: line %d: %w", n, err)
		}
		prompts = append(prompts, p)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading prompts: %w", err)
	}
	return prompts, nil
}

// check returns the first word of the scene that this package doesn't know.
func (s Scene) check() error {
	if len(s.Objects) < 1 || len(s.Objects) > 3 {
		return fmt.Errorf("objects: %d of them, want 1 to 3", len(s.Objects))
	}
	for _, o := range s.Objects {
		if _, ok := outlines[o.Shape]; !ok {
			return fmt.Errorf("objects: unknown shape %q", o.Shape)
		}
		if _, ok := colors[o.Color]; !ok {
			return fmt.Errorf("objects: unknown color %q", o.Color)
		}
		if _, ok := radii[len(s.Objects)-1][o.Size]; !ok {
			return fmt.Errorf("objects: unknown size %q of one in %d", o.Size, len(s.Objects))
		}
	}
	if _, ok := places[s.Place]; s.Place != "" && (!ok || len(s.Objects) != 1) {
		return fmt.Errorf("place: %q for %d objects", s.Place, len(s.Objects))
	}
	if _, ok := relations[s.Relation]; ok != (len(s.Objects) == 2) {
		return fmt.Errorf("relation: %q for %d objects", s.Relation, len(s.Objects))
	}
	return s.Background.check()
}

func (b Background) check() error {
	var names []string
	known := backgroundColors
	switch b.Kind {
	case "plain":
		names = []string{b.Color}
	case "gradient":
		names = []string{b.Top, b.Bottom}
	case "landscape":
		if _, ok := skies[b.Time]; !ok {
			return fmt.Errorf("background: unknown time %q", b.Time)
		}
		if !slices.Contains([]string{"sky", "sea", "hills"}, b.Land) {
			return fmt.Errorf("background: unknown land %q", b.Land)
		}
	default:
		return fmt.Errorf("background: unknown kind %q", b.Kind)
	}
	for _, name := range names {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("background: unknown color %q", name)
		}
	}
	return nil
}

// centres returns where the scene's objects are expected, as shares of width
// and height, or nil if the lone object may be anywhere.
func (s Scene) centres() []point {
	switch len(s.Objects) {
	case 1:
		if s.Place == "" {
			return nil
		}
		return []point{places[s.Place]}
	case 2:
		return relations[s.Relation]
	}
	return row
}

// point is a place in a picture as shares of its width and height, from the
// top left.
type point struct{ x, y float64 }

// rgb is a colour, 0 to 255.
type rgb [3]float64
