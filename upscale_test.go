package main

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/darkroom/darkroom/models/score"
	"github.com/darkroom/darkroom/pipeline/imaging"
)

// TestUpscaleExample renders the example through the queue, and the same lines
// without an upscale, and measures the pictures: enlarged they show what they
// showed before, and their edges are sharper than interpolation makes them.
func TestUpscaleExample(t *testing.T) {
	if err := hasONNXRuntime(); err != nil {
		if os.Getenv("DARKROOM_TEST_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	const image = "in/square-and-star.png"
	if err := os.CopyFS(filepath.Join(dir, "in"), os.DirFS("examples/in")); err != nil {
		t.Fatal(err)
	}
	var plain []byte
	batch, err := os.ReadFile("examples/upscale.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	sides := map[string]int{}
	for line := range bytes.Lines(batch) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatal(err)
		}
		sides[fields["id"].(string)] = 0
		if fields["kind"] == "upscale" {
			continue
		}
		delete(fields, "upscale")
		line, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		plain = append(append(plain, line...), '\n')
	}
	if err := os.WriteFile(filepath.Join(dir, "plain.jsonl"), plain, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"examples/upscale.jsonl", filepath.Join(dir, "plain.jsonl")} {
		if err := darkroom(t, "render", name, "-o", dir).Run(); err != nil {
			t.Fatal(err)
		}
	}
	before, after := readPictures(t, filepath.Join(dir, "plain")), readPictures(t, filepath.Join(dir, "upscale"))
	before["four-times"], before["twice"] = readPNG(t, filepath.Join("examples", image)), readPNG(t, filepath.Join("examples", image))
	for id, side := range map[string]int{"four-times": 512, "twice": 256, "drawn-large": 512, "edited-large": 320} {
		small, large := before[id], after[id]
		if large == nil || large.Bounds().Dx() != side || large.Bounds().Dy() != side {
			t.Fatalf("%s: %v, want %d px", id, large, side)
		}
		if back := score.PSNR(resized(large, small.Bounds().Dx(), (*imaging.Bitmap).Resize), small); back < 30 {
			t.Errorf("%s: made small again the picture is %.1f dB from what it was", id, back)
		}
		sharp, smooth := score.EdgeWidth(large), score.EdgeWidth(resized(small, side, (*imaging.Bitmap).Bicubic))
		t.Logf("%s: edges are %.2f px wide, interpolated %.2f", id, sharp, smooth)
		if sharp > .85*smooth || side == 512 && sharp > .7*smooth {
			t.Errorf("%s: edges are %.2f px wide, interpolated %.2f", id, sharp, smooth)
		}
		delete(sides, id)
	}
	if len(sides) > 0 {
		t.Errorf("the example has other lines too: %v", sides)
	}
}

func resized(picture image.Image, side int, resize func(b *imaging.Bitmap, width, height int) *imaging.Bitmap) image.Image {
	bounds := picture.Bounds()
	bitmap := imaging.NewBitmap(bounds.Dx(), bounds.Dy(), 3)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r, g, b, _ := picture.At(x, y).RGBA()
			copy(bitmap.At(x, y), []uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)})
		}
	}
	bitmap = resize(bitmap, side, side)
	to := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		copy(to.Pix[4*i:], append(bitmap.Pix[3*i:3*i+3:3*i+3], 255))
	}
	return to
}
