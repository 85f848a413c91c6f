package main

import (
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch"
)

// TestEditExample holds that what the edits of examples/edit.jsonl ask for is
// there, and that a picture edited a little stays nearer to its image than one
// edited more.
func TestEditExample(t *testing.T) {
	pictures := renderExample(t, "edit")
	paper := score.Background{Kind: "plain"}
	for id, scene := range map[string]score.Scene{
		"color":      pair("green circle", "blue square", "left", paper),
		"shapes":     pair("red heart", "blue star", "left", paper),
		"gradient":   pair("red circle", "blue square", "left", score.Background{Kind: "gradient", Top: "pink", Bottom: "white"}),
		"background": pair("pink heart", "black cross", "above", score.Background{Kind: "plain", Color: "green"}),
		"night":      {Objects: things("white diamond"), Background: score.Background{Kind: "landscape", Land: "sea", Time: "night"}},
		"row":        {Objects: things("yellow circle", "white heart", "orange square"), Background: score.Background{Kind: "plain", Color: "purple"}},
		"most-1":     pair("green star", "black ring", "above", score.Background{Kind: "gradient", Top: "yellow", Bottom: "orange"}),
	} {
		if result := score.Check(pictures.of(t, id), scene); !result.All() {
			t.Errorf("%s: the picture doesn't show its prompt: %+v", id, result)
		}
	}
	before := readPNG(t, "examples/in/row.png")
	little, more := score.PSNR(pictures.of(t, "little"), before), score.PSNR(pictures.of(t, "row"), before)
	t.Logf("a strength of .2 leaves %.1f dB, one of .6 %.1f dB", little, more)
	if little < 20 || little < more+3 {
		t.Errorf("a strength of .2 leaves %.1f dB and one of .6 %.1f dB, want 20 and more at least, and 3 between them", little, more)
	}
}

// TestInpaintExample holds that where examples/inpaint.jsonl masks pictures, there
// is what its prompts say, and elsewhere what was there.
func TestInpaintExample(t *testing.T) {
	pictures := renderExample(t, "inpaint")
	paper, purple := score.Background{Kind: "plain"}, score.Background{Kind: "plain", Color: "purple"}
	heart := pair("purple heart", "blue square", "left", paper)
	for id, want := range map[string]struct {
		scene       score.Scene
		image, mask string
		apart       float64 // of 255, outside the mask, at most
	}{
		"left":    {pair("green triangle", "blue square", "left", paper), "pair", "pair-left", 8},
		"blended": {pair("green triangle", "blue square", "left", paper), "pair", "pair-left", 8},
		"kept":    {pair("red circle", "yellow star", "left", paper), "pair", "pair-right", 0},
		"named-0": {heart, "pair", "pair-left", 0},
		"named-1": {heart, "pair", "pair-left", 0},
		"row":     {score.Scene{Objects: things("yellow star", "black square", "orange triangle"), Background: purple}, "row", "row-middle", 0},
		"close-0": {score.Scene{Objects: things("yellow star", "red heart", "orange triangle"), Background: purple}, "row", "row-middle", 0},
	} {
		got := pictures.of(t, id)
		if result := score.Check(got, want.scene); !result.All() {
			t.Errorf("%s: the picture doesn't show its prompt: %+v", id, result)
		}
		apart := score.MeanDifference(got, readPNG(t, "examples/in/"+want.image+".png"), readPNG(t, "examples/in/"+want.mask+".png"))
		t.Logf("%s: %.2f of 255 apart outside the mask", id, apart)
		if apart > want.apart {
			t.Errorf("%s: %.2f of 255 apart outside the mask, want at most %v", id, apart, want.apart)
		}
	}
}

// album has pictures by the ids of their lines.
type album map[string]image.Image

func (a album) of(t *testing.T, id string) image.Image {
	t.Helper()
	if a[id] == nil {
		t.Fatalf("no picture of the line %q", id)
	}
	return a[id]
}

// renderExample renders a batch of examples/ as it is.
func renderExample(t *testing.T, name string) album {
	t.Helper()
	orttest.Open(t)
	out := t.TempDir()
	run(t, darkroom(t, "render", "examples/"+name+".jsonl", "-o", out))
	return readPictures(t, filepath.Join(out, name))
}

// readPictures reads a batch's pictures, and holds their records against them.
func readPictures(t *testing.T, folder string) album {
	t.Helper()
	pictures := album{}
	for _, path := range matches(t, folder, "0*.json") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var record batch.Record
		if err := json.Unmarshal(data, &record); err != nil {
			t.Fatal(err)
		}
		picture := readPNG(t, filepath.Join(filepath.Dir(path), record.File))
		if record.Status != batch.Done || picture.Bounds() != image.Rect(0, 0, record.Width, record.Height) || record.Job.Upscale != nil && record.Models["house-upscale"] == "" {
			t.Errorf("%s: a picture of %v, and the record says %s", record.ID, picture.Bounds(), data)
		}
		pictures[record.ID] = picture
	}
	return pictures
}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

func pair(first, second, relation string, background score.Background) score.Scene {
	return score.Scene{Objects: things(first, second), Relation: relation, Background: background}
}

// things reads objects: a colour and a shape each.
func things(names ...string) (all []score.Object) {
	for _, name := range names {
		color, shape, _ := strings.Cut(name, " ")
		all = append(all, score.Object{Color: color, Shape: shape})
	}
	return all
}
