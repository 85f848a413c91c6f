package tiling_test

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/tiling"
	"pgregory.net/rapid"
)

// enlarge stands for a network: each pixel of the result comes of those of the
// picture within radius, and of none beyond its edges.
func enlarge(picture *imaging.Bitmap, scale, radius int) *imaging.Bitmap {
	large := imaging.NewBitmap(picture.Width*scale, picture.Height*scale, 3)
	for y := range large.Height {
		for x := range large.Width {
			for c := range 3 {
				sum, weight := 0, 0
				for _, d := range []image.Point{{0, 0}, {radius, 0}, {-radius, 0}, {0, radius}, {0, -radius}, {radius, radius}, {-radius, -radius}} {
					at := image.Pt(x/scale, y/scale).Add(d)
					if at.In(image.Rect(0, 0, picture.Width, picture.Height)) {
						sum += (x%scale + 2*(y%scale) + 1) * int(picture.At(at.X, at.Y)[c])
					}
					weight += scale * 3
				}
				large.At(x, y)[c] = uint8(sum / weight)
			}
		}
	}
	return large
}

func noise(width, height int) *imaging.Bitmap {
	picture := imaging.NewBitmap(width, height, 3)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(random.Uint32())
	}
	return picture
}

// join enlarges a picture tile by tile.
func join(grid tiling.Grid, picture *imaging.Bitmap, scale int, enlarge func(*imaging.Bitmap) *imaging.Bitmap) *imaging.Bitmap {
	joined := &imaging.Bitmap{Width: picture.Width * scale, Channels: 3}
	stitcher := tiling.NewStitcher(grid, scale, func(row []uint8) {
		joined.Pix = append(joined.Pix, row...)
		joined.Height++
	})
	for i := range grid.Len() {
		stitcher.Add(enlarge(grid.Cut(picture, i)))
	}
	return joined
}

// TestExact holds that tiles show nowhere in what a network makes that looks no
// further than their margin.
func TestExact(t *testing.T) {
	for _, c := range []struct{ width, height, tile, multiple, scale int }{
		{300, 200, 128, 1, 2}, {300, 200, 128, 8, 3}, {129, 1, 128, 1, 4}, {128, 128, 128, 1, 4}, {1, 400, 160, 1, 1}, {500, 131, 130, 2, 2},
	} {
		picture := noise(c.width, c.height)
		size := tiling.Size{Tile: c.tile, Multiple: c.multiple}
		grid := tiling.New(c.width, c.height, size, size)
		got := join(grid, picture, c.scale, func(tile *imaging.Bitmap) *imaging.Bitmap { return enlarge(tile, c.scale, tiling.Margin) })
		whole := picture.Extend(0, 0, max(0, grid.At(0).Dx()-c.width), max(0, grid.At(0).Dy()-c.height))
		want := enlarge(whole, c.scale, tiling.Margin).Crop(image.Rect(0, 0, c.width*c.scale, c.height*c.scale))
		if got.Width != want.Width || got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%+v: %d tiles, %dx%d, are not the whole", c, grid.Len(), got.Width, got.Height)
		}
	}
}

// TestFeather holds that tiles which differ pass into each other without a step.
func TestFeather(t *testing.T) {
	const side, scale = 300, 4
	size := tiling.Size{Tile: 128}
	grid := tiling.New(side, side, size, size)
	shade := 0
	joined := join(grid, imaging.NewBitmap(side, side, 3), scale, func(tile *imaging.Bitmap) *imaging.Bitmap {
		plain := imaging.NewBitmap(tile.Width*scale, tile.Height*scale, 3)
		for i := range plain.Pix {
			plain.Pix[i] = uint8(shade)
		}
		shade = (shade + 64) % 256
		return plain
	})
	const most = 192/(tiling.Feather*scale) + 2 // and what rounding adds
	steps := 0
	for y := range side * scale {
		for x := range side*scale - 1 {
			across := int(joined.At(x+1, y)[0]) - int(joined.At(x, y)[0])
			down := int(joined.At(y, x+1)[0]) - int(joined.At(y, x)[0])
			for _, step := range []int{across, down} {
				if step != 0 {
					steps++
				}
				if step > most || step < -most {
					t.Fatalf("a step of %d beside (%d, %d)", step, x, y)
				}
			}
		}
	}
	if steps == 0 {
		t.Error("the tiles don't differ")
	}
}

// TestGrids holds of any picture and tiles that every pixel comes of one tile or
// of neighbours, and that tiles are no larger than they may be.
func TestGrids(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		multiple := rapid.SampledFrom([]int{0, 1, 2, 8, 16}).Draw(t, "multiple")
		draw := func(name string) tiling.Size {
			return tiling.Size{Tile: max(multiple, 1) * rapid.IntRange(1, 12).Draw(t, name), Multiple: multiple, Fixed: rapid.Bool().Draw(t, name+" fixed"), Full: rapid.Bool().Draw(t, name+" full")}
		}
		width, height := rapid.IntRange(1, 90).Draw(t, "width"), rapid.IntRange(1, 90).Draw(t, "height")
		across, down := draw("across"), draw("down")
		scale := rapid.IntRange(1, 3).Draw(t, "scale")
		grid := tiling.New(width, height, across, down)
		for _, side := range []struct {
			name          string
			length, pixel int
			size          tiling.Size
		}{{"width", width, grid.At(0).Dx(), across}, {"height", height, grid.At(0).Dy(), down}} {
			if side.pixel > side.size.Tile || side.pixel%max(multiple, 1) != 0 || (side.size.Fixed || side.size.Full && side.length > side.size.Tile) && side.pixel != side.size.Tile {
				t.Fatalf("tiles of the %s %d for %+v", side.name, side.pixel, side.size)
			}
		}
		picture := noise(width, height)
		nearest := func(tile *imaging.Bitmap) *imaging.Bitmap {
			large := imaging.NewBitmap(tile.Width*scale, tile.Height*scale, 3)
			for y := range large.Height {
				for x := range large.Width {
					copy(large.At(x, y), tile.At(x/scale, y/scale))
				}
			}
			return large
		}
		if got, want := join(grid, picture, scale, nearest), nearest(picture); got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
			t.Fatalf("%d tiles of %v are not the whole", grid.Len(), grid.At(0))
		}
	})
}
