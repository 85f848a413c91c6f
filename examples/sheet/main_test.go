package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"
)

// TestSheet lays a batch of two lines, one of them a dead letter, and looks for
// the picture's color where its cell is.
func TestSheet(t *testing.T) {
	out := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(out, "night", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("batch.json", "{}")
	write("manifest/aa/00000.jsonl", "")
	write("00000000-abc.json", `{"status": "done", "file": "night/00000000-abc.png", "job": {"prompt": "a red wall"}}`)
	write("00000001-def.json", `{"status": "failed", "error": "no such thing", "id": "b", "job": {"prompt": "x"}}`)
	red := color.RGBA{200, 10, 10, 255}
	wall := image.NewRGBA(image.Rect(0, 0, 40, 20))
	xdraw.Draw(wall, wall.Bounds(), image.NewUniform(red), image.Point{}, xdraw.Src)
	var text strings.Builder
	if err := png.Encode(&text, wall); err != nil {
		t.Fatal(err)
	}
	write("00000000-abc.png", text.String())

	file := filepath.Join(t.TempDir(), "sheet.png")
	if err := run(out, file); err != nil {
		t.Fatal(err)
	}
	made, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	sheet, err := png.Decode(made)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		x, y  int
		color color.Color
	}{
		{gap + side/2, gap + heading + side - side/4, red}, // twice as wide as high, at the cell's bottom
		{gap + side/2, gap + heading + side/4, paper},
		{gap + side + gap + side/2, gap + heading + side - side/4, paper}, // the dead letter's
	} {
		got := sheet.At(want.x, want.y)
		if fmt.Sprint(color.RGBAModel.Convert(got)) != fmt.Sprint(color.RGBAModel.Convert(want.color)) {
			t.Errorf("at %d, %d is %v, want %v", want.x, want.y, got, want.color)
		}
	}
}

func TestNothingToShow(t *testing.T) {
	if err := run(t.TempDir(), filepath.Join(t.TempDir(), "sheet.png")); err == nil || !strings.Contains(err.Error(), "holds no batch") {
		t.Errorf("an empty folder: %v", err)
	}
}
