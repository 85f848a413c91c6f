package main

import (
	"image"
	"os"
	"testing"

	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline/imaging"
)

// TestControlExamples renders examples/control.jsonl and examples/restyle.jsonl
// through the queue, and holds the pictures' edges against those of what led
// them.
func TestControlExamples(t *testing.T) {
	for _, name := range []string{"control", "restyle"} {
		pictures := renderExample(t, name)
		for id, lead := range map[string]struct {
			batch, file string
			drawn       bool // it is lines already
		}{
			"canny":     {"control", "pair", false},
			"none":      {"control", "lines", true},
			"luminance": {"control", "chalk", true},
			"two":       {"control", "lines", true},
			"edit-led":  {"restyle", "pair", false},
		} {
			if lead.batch != name {
				continue
			}
			lines := readPNG(t, "examples/in/"+lead.file+".png")
			if !lead.drawn {
				lines = edgesOf(t, "examples/in/"+lead.file+".png")
			}
			found, strict := score.EdgesFollowed(pictures.of(t, id), lines)
			t.Logf("%s: %.0f %% of the lines are edges, %.0f %% of the edges are lines", id, 100*found, 100*strict)
			if found < .8 || strict < .7 {
				t.Errorf("%s: %.0f %% of the lines are edges and %.0f %% of the edges are lines, want 80 and 70 at least", id, 100*found, 100*strict)
			}
		}
	}
}

// edgesOf is what a ControlNet is shown of a picture.
func edgesOf(t *testing.T, path string) image.Image {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := imaging.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := file.RGB()
	if err != nil {
		t.Fatal(err)
	}
	edges := picture.Canny(100, 200)
	img := image.NewGray(image.Rect(0, 0, edges.Width, edges.Height))
	for i := range img.Pix {
		img.Pix[i] = edges.Pix[3*i]
	}
	return img
}
