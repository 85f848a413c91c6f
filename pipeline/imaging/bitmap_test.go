package imaging

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"testing"
)

// drawNoise is testdata/golden.py's noise.
func drawNoise(seed uint64, width, height, channels int) *Bitmap {
	b := NewBitmap(width, height, channels)
	for i := range b.Pix {
		seed = seed*6364136223846793005 + 1442695040888963407
		b.Pix[i] = uint8(seed >> 56)
	}
	return b
}

// TestGolden holds pixels against Pillow's, diffusers' and OpenCV's, to the last bit.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Op        string
		Seed      uint64
		Size      [2]int
		Channels  int
		Arguments []float64
		Region    [4]int
		Pixels    []byte
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		b := drawNoise(c.Seed, c.Size[0], c.Size[1], c.Channels)
		argument := func(i int) int { return int(c.Arguments[i]) }
		var got *Bitmap
		switch c.Op {
		case "resize":
			got = b.Resize(argument(0), argument(1))
		case "fill":
			got = b.Fill(argument(0), argument(1))
		case "cover":
			got = b.Cover(argument(0), argument(1))
		case "blur":
			got = b.Blur(c.Arguments[0])
		case "region":
			for i, v := range b.Pix {
				if v <= 250 {
					b.Pix[i] = 0
				}
			}
			want := image.Rect(c.Region[0], c.Region[1], c.Region[2], c.Region[3])
			if region := b.Region(argument(0), argument(1), argument(2)); region != want {
				t.Errorf("case %d: region %v of %dx%d, want %v", c.Seed, region, b.Width, b.Height, want)
			}
			got = b
		case "overlay":
			got = b
			Overlay(got, drawNoise(c.Seed+1000, b.Width, b.Height, 3), drawNoise(c.Seed+2000, b.Width, b.Height, 1))
		case "canny":
			got = b.Canny(100, 200)
		case "canny shapes":
			got = drawNoise(c.Seed, b.Width/8, b.Height/8, 3).Resize(b.Width, b.Height).Canny(100, 200)
		case "tile":
			got = b.Tile()
		case "luminance":
			got = b.Luminance()
		default:
			t.Fatalf("no such operation: %s", c.Op)
		}
		if !bytes.Equal(got.Pix, c.Pixels) {
			first, worst := -1, 0
			for i := range min(len(got.Pix), len(c.Pixels)) {
				off := max(int(got.Pix[i])-int(c.Pixels[i]), int(c.Pixels[i])-int(got.Pix[i]))
				if worst = max(worst, off); off > 0 && first < 0 {
					first = i
				}
			}
			t.Errorf("case %d, %s %v of %v: %d bytes, want %d; off by %d, first at %d", c.Seed, c.Op, c.Arguments, c.Size, len(got.Pix), len(c.Pixels), worst, first)
		}
	}
}

func TestPasteIsCut(t *testing.T) {
	b, from := NewBitmap(2, 2, 1), &Bitmap{3, 3, 1, []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	b.Paste(from, -1, -2)
	b.Paste(from, 5, 0)
	if want := []uint8{8, 9, 0, 0}; !bytes.Equal(b.Pix, want) {
		t.Errorf("%v, want %v", b.Pix, want)
	}
}

// TestExtend holds that edges go on.
func TestExtend(t *testing.T) {
	b := &Bitmap{2, 2, 1, []uint8{1, 2, 3, 4}}
	want := []uint8{1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 3, 3, 4, 4, 4}
	if got := b.Extend(1, 0, 2, 1); got.Width != 5 || got.Height != 3 || !bytes.Equal(got.Pix, want) {
		t.Errorf("%dx%d %v, want %v", got.Width, got.Height, got.Pix, want)
	}
}
