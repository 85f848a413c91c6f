// Package tiling cuts pictures into overlapping tiles, for networks whose memory
// grows with a picture's size, and joins what they make of the tiles so that no
// seam shows.
//
// Near its edges a tile lacks what lies beyond them, and a network knows less
// there than in its middle. So each tile's outermost pixels, its margin, are left
// out where another tile has them, and behind the margin one tile passes into the
// next one over a few pixels. Where a network looks no further than the margin,
// the result is that of the whole picture at once.
package tiling

import (
	"image"

	"github.com/darkroom/darkroom/pipeline/imaging"
)

// The usual overlap of two tiles is a margin of each, and a feathered seam
// between the margins: in pixels of the picture that is cut.
const (
	Margin  = 16
	Feather = 8
)

// Size says which tiles a network takes.
type Size struct {
	Tile     int  // the longest side, pixels
	Multiple int  // sides are multiples of it; 0 is 1. Tile is one
	Fixed    bool // sides are neither longer nor shorter than Tile
	Full     bool // sides are Tile where the picture is longer: few sizes for many pictures
}

func (s Size) roundUp(n int) int {
	multiple := max(s.Multiple, 1)
	return ceil(n, multiple) * multiple
}

// overlap is how many pixels two tiles share at least, and over how many of
// them one passes into the other. Small tiles share less, so that most of their
// pixels are of use.
func (s Size) overlap() (all, feather int) {
	all = min(2*Margin+Feather, s.Tile/3)
	return all, min(Feather, all)
}

// Grid is a picture's tiles, row by row. All have one size. Where that is more
// than the picture has, they reach beyond its right and its lower edge.
type Grid struct {
	across, down       axis
	featherX, featherY int
}

// New covers a picture with tiles.
func New(width, height int, across, down Size) Grid {
	overlapX, featherX := across.overlap()
	overlapY, featherY := down.overlap()
	return Grid{newAxis(width, across, overlapX), newAxis(height, down, overlapY), featherX, featherY}
}

// Len is how many tiles there are.
func (g Grid) Len() int { return len(g.across.starts) * len(g.down.starts) }

// Tile is the size of the tiles.
func (g Grid) Tile() (width, height int) { return g.across.tile, g.down.tile }

// At is where the i-th tile lies.
func (g Grid) At(i int) image.Rectangle {
	x, y := g.across.starts[i%len(g.across.starts)], g.down.starts[i/len(g.across.starts)]
	return image.Rect(x, y, x+g.across.tile, y+g.down.tile)
}

// Cut returns the i-th tile of a picture of the grid's size. Beyond the picture's
// edges the pixels at the edges go on.
func (g Grid) Cut(picture *imaging.Bitmap, i int) *imaging.Bitmap {
	at := g.At(i)
	inside := at.Intersect(image.Rect(0, 0, picture.Width, picture.Height))
	tile := picture.Crop(inside)
	if inside != at {
		tile = tile.Extend(0, 0, at.Max.X-inside.Max.X, at.Max.Y-inside.Max.Y)
	}
	return tile
}
