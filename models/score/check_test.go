package score

import (
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// drawings returns the recipe's drawings and the prompts they show.
func drawings(t *testing.T) ([]Prompt, []image.Image) {
	t.Helper()
	var drawn []Prompt
	var images []image.Image
	for _, p := range heldout(t) {
		f, err := os.Open(filepath.Join("testdata", "drawings", p.ID+".png"))
		if os.IsNotExist(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", p.ID, err)
		}
		drawn, images = append(drawn, p), append(images, img)
	}
	if len(drawn) != 36 {
		t.Fatalf("testdata/drawings shows %d of the prompts, want 36", len(drawn))
	}
	return drawn, images
}

func heldout(t *testing.T) []Prompt {
	t.Helper()
	f, err := os.Open("testdata/heldout.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	prompts, err := ReadPrompts(f)
	if err != nil {
		t.Fatal(err)
	}
	return prompts
}

func TestDrawingsShowTheirScenes(t *testing.T) {
	prompts, images := drawings(t)
	for i, p := range prompts {
		if r := Check(images[i], p.Scene); !r.All() {
			t.Errorf("%s: %q: %+v", p.ID, p.Prompt, r)
		}
	}
}

// Each drawing is held against its scene with one word changed: that part must
// be wrong, and no other.
func TestOneWrongWordIsFound(t *testing.T) {
	prompts, images := drawings(t)
	right := Result{true, true, true, true, true}
	counts := map[string]int{}
	for i, p := range prompts {
		expect := func(what string, s Scene, want Result) {
			t.Helper()
			counts[what]++
			if got := Check(images[i], s); got != want {
				t.Errorf("%s: %q held against %s %+v: %+v, want %+v", p.ID, p.Prompt, what, s, got, want)
			}
		}
		for j, o := range p.Scene.Objects {
			for shape := range outlines {
				if shape != o.Shape {
					s := p.Scene
					s.Objects = slices.Clone(s.Objects)
					s.Objects[j].Shape = shape
					want := right
					want.Shape = false
					expect("another shape", s, want)
				}
			}
			if o.Size != "" {
				s := p.Scene
				s.Objects = slices.Clone(s.Objects)
				s.Objects[j].Size = map[string]string{"small": "large", "large": "small"}[o.Size]
				want := right
				want.Size = false
				expect("the other size", s, want)
			}
			for name := range colors {
				if shows(p.Scene, name) {
					continue
				}
				s := p.Scene
				s.Objects = slices.Clone(s.Objects)
				s.Objects[j].Color = name
				expect("another color", s, Result{Background: true})
			}
		}
		wrongPlace := right
		wrongPlace.Place = false
		for place := range places {
			if p.Scene.Place != "" && place != p.Scene.Place {
				s := p.Scene
				s.Place = place
				expect("another place", s, wrongPlace)
			}
		}
		for relation := range relations {
			if p.Scene.Relation != "" && relation != p.Scene.Relation {
				s := p.Scene
				s.Relation = relation
				expect("another relation", s, wrongPlace)
			}
		}
		if len(p.Scene.Objects) == 3 {
			s := p.Scene
			s.Objects = slices.Clone(s.Objects)
			s.Objects[0], s.Objects[1] = s.Objects[1], s.Objects[0]
			expect("another order", s, wrongPlace)
		}
		for _, b := range otherBackgrounds(p.Scene.Background) {
			s := p.Scene
			s.Background = b
			if Check(images[i], s).Background {
				t.Errorf("%s: %q: background %+v is taken for right", p.ID, p.Prompt, b)
			}
			counts["another background"]++
		}
	}
	for _, what := range []string{"another shape", "the other size", "another color", "another place", "another relation", "another order", "another background"} {
		if counts[what] < 10 {
			t.Errorf("held against %s only %d times", what, counts[what])
		}
	}
}

// shows reports whether the colour is somewhere in the scene, or so near to what
// is behind the objects that it might be.
func shows(s Scene, name string) bool {
	near := func(c rgb) bool { return distance(c, colors[name]) < 120 }
	return slices.ContainsFunc(s.Objects, func(o Object) bool { return o.Color == name }) ||
		slices.ContainsFunc(s.Background.palette(), near)
}

func otherBackgrounds(b Background) []Background {
	all := []Background{
		{Kind: "plain", Color: "red"}, {Kind: "plain", Color: "green"}, {Kind: "plain", Color: "black"}, {Kind: "plain"},
		{Kind: "gradient", Top: "yellow", Bottom: "purple"}, {Kind: "gradient", Top: "purple", Bottom: "yellow"},
	}
	for time := range skies {
		for _, land := range []string{"sky", "sea", "hills"} {
			all = append(all, Background{Kind: "landscape", Land: land, Time: time})
		}
	}
	alike := func(other Background) bool {
		// At night sky, sea and hills differ less than a median can tell from a frame.
		return other == b || b.Time == "night" && other.Time == "night" || distance(b.at(point{.5, 0}), other.at(point{.5, 0})) < 60 &&
			distance(b.at(point{.5, 1}), other.at(point{.5, 1})) < 60
	}
	return slices.DeleteFunc(all, alike)
}

func TestEmptyAndNoisyPicturesShowNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	gray, noise := image.NewRGBA(image.Rect(0, 0, 128, 128)), image.NewRGBA(image.Rect(0, 0, 128, 128))
	for y := range 128 {
		for x := range 128 {
			gray.Set(x, y, color.Gray{150})
			noise.Set(x, y, color.RGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), 255})
		}
	}
	for _, p := range heldout(t)[:20] {
		if r := Check(gray, p.Scene); r.Color || r.Shape || r.Place || r.Size {
			t.Errorf("%q: an empty picture: %+v", p.Prompt, r)
		}
		if r := Check(noise, p.Scene); r.All() {
			t.Errorf("%q: noise is all right", p.Prompt)
		}
	}
}

// Shapes are known at every size and place that scenes have, to the pixel.
func TestOutlines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for shape, holds := range outlines {
		for range 50 {
			const side = 128
			r := side * (.13 + .18*rng.Float64())
			cx, cy := side/2+rng.Float64(), side/2+rng.Float64()
			m := newMask(side, side)
			for i := range m.on {
				m.on[i] = holds((float64(i%side)+.5-cx)/r, (float64(i/side)+.5-cy)/r)
			}
			found := m.blobs(r * r) // without the tips of thin stars
			if len(found) != 1 {
				t.Fatalf("%s of radius %.1f: %d blobs", shape, r, len(found))
			}
			if got, match := found[0].shape(); got != shape || match < .8 {
				t.Errorf("%s of radius %.1f at %.1f, %.1f: read as %s, match %.2f", shape, r, cx, cy, got, match)
			}
		}
	}
}
