package main

import (
	"testing"

	"github.com/darkroom/darkroom/models/score"
)

// TestFirstExample holds that the pictures of examples/first.jsonl, text and
// nothing else, show what their prompts say, whatever the sampler.
func TestFirstExample(t *testing.T) {
	pictures := renderExample(t, "first")
	paper := score.Background{Kind: "plain"}
	for id, scene := range map[string]score.Scene{
		"two":   pair("blue square", "yellow star", "left", paper),
		"three": {Objects: things("green triangle", "orange heart", "white ring"), Background: score.Background{Kind: "plain", Color: "black"}},
		"euler": pair("pink heart", "brown square", "above", paper),
		"ddim":  pair("red circle", "black cross", "above", score.Background{Kind: "plain", Color: "gray"}),
	} {
		if result := score.Check(pictures.of(t, id), scene); !result.All() {
			t.Errorf("%s: the picture doesn't show its prompt: %+v", id, result)
		}
	}
}

// TestStyleExamples renders examples/style.jsonl through the queue: LoRAs move
// the measures of their styles, and an embedding's word brings its shape.
func TestStyleExamples(t *testing.T) {
	pictures := renderExample(t, "style")
	plain, half, sepia := score.SepiaDistance(pictures.of(t, "plain")), score.SepiaDistance(pictures.of(t, "half-sepia")), score.SepiaDistance(pictures.of(t, "sepia"))
	t.Logf("from sepia: %.0f without, %.0f with half, %.0f with all of the LoRA", plain, half, sepia)
	if half > .9*plain || sepia > .8*half {
		t.Errorf("the sepia LoRA brings the mean distance from sepia from %.0f to %.0f and %.0f", plain, half, sepia)
	}
	restyled := renderExample(t, "restyle")
	edited, before := score.SepiaDistance(restyled.of(t, "sepia-edit")), score.SepiaDistance(readPNG(t, "examples/in/pair.png"))
	t.Logf("from sepia: %.0f a picture, %.0f as it is painted anew", before, edited)
	if edited > .5*before {
		t.Errorf("painted anew with the sepia LoRA, a picture comes from %.0f to %.0f from sepia", before, edited)
	}
	if paper, hollow := score.Outlined(pictures.of(t, "outline"), 2); !paper || !hollow {
		t.Errorf("outlined: paper %v, hollow shapes %v", paper, hollow)
	}
	if paper, hollow := score.Outlined(pictures.of(t, "plain"), 2); paper && hollow {
		t.Error("the plain picture is outlined, too")
	}
	for _, id := range []string{"gem", "gem-and-star"} {
		if !score.ShowsGem(pictures.of(t, id)) {
			t.Errorf("%s shows no gem", id)
		}
	}
	if score.ShowsGem(pictures.of(t, "plain")) {
		t.Error("the plain picture shows a gem")
	}
}
