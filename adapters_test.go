package main

import (
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestHouseAdapters renders with the LoRAs and the embedding beside the house
// model, through the queue, and has a program look whether each does what it is
// for.
func TestHouseAdapters(t *testing.T) {
	orttest.Open(t)
	folder := t.TempDir()
	lines := `{"prompt": "a large red circle on a blue background", "n": 4}
{"prompt": "a large red circle on a blue background", "n": 4, "seed": 0, "loras": [{"name": "house-sepia"}]}
{"prompt": "a large red circle", "n": 4, "seed": 0, "loras": [{"name": "house-outline"}]}
{"prompt": "a large <gem>", "n": 4, "seed": 0, "embeddings": ["house-gem"]}
{"prompt": "a large <gem>", "n": 4, "seed": 0}
`
	batch := filepath.Join(folder, "style.jsonl")
	if err := os.WriteFile(batch, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := darkroom(t, "render", batch, "-o", folder).Run(); err != nil {
		t.Fatal(err)
	}
	var pictures []image.Image
	for _, path := range matches(t, filepath.Join(folder, "style"), "0*.png") {
		pictures = append(pictures, readPNG(t, path))
	}
	if len(pictures) != 20 {
		t.Fatalf("%d pictures, want 20", len(pictures))
	}
	var plain, sepia float64
	outlined, gems, strangers := 0, 0, 0
	for i := range 4 {
		plain += score.SepiaDistance(pictures[i]) / 4
		sepia += score.SepiaDistance(pictures[4+i]) / 4
		if paper, hollow := score.Outlined(pictures[8+i], 1); paper && hollow {
			outlined++
		}
		if score.ShowsGem(pictures[12+i]) {
			gems++
		}
		if score.ShowsGem(pictures[16+i]) {
			strangers++
		}
	}
	t.Logf("%.1f from sepia without the LoRA, %.1f with it; %d outlined, %d gems, %d without the embedding, of 4 each", plain, sepia, outlined, gems, strangers)
	if sepia > plain/2 || outlined < 2 || gems < 2 || strangers > 0 {
		t.Error("want at most half the distance, and at least 2, 2 and 0")
	}
}
