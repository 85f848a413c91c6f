package tiling

import "github.com/darkroom/darkroom/pipeline/imaging"

// Stitcher joins enlarged tiles. It holds one row of them, however high the
// picture is.
type Stitcher struct {
	grid  Grid
	scale int
	emit  func(row []uint8)

	next int             // tile
	band *imaging.Bitmap // the row of tiles under way
	tail *imaging.Bitmap // the lower end of the band before it, which passes into this one
}

// NewStitcher returns a stitcher of tiles of three channels, so many times as
// large as the grid's. It hands out the rows of the enlarged picture from top to
// bottom; emit must not keep them.
func NewStitcher(grid Grid, scale int, emit func(row []uint8)) *Stitcher {
	_, height := grid.Tile()
	return &Stitcher{
		grid: grid, scale: scale, emit: emit,
		band: imaging.NewBitmap(grid.across.length*scale, height*scale, 3),
		tail: imaging.NewBitmap(grid.across.length*scale, grid.featherY*scale, 3),
	}
}

// Add takes the next tile, in the grid's order.
func (s *Stitcher) Add(tile *imaging.Bitmap) {
	columns := len(s.grid.across.starts)
	column, row := s.next%columns, s.next/columns
	s.next++
	left := s.grid.across.starts[column] * s.scale
	seam := s.grid.across.into(column, s.grid.featherX, s.scale)
	end := min(left+tile.Width, s.band.Width)
	for y := range tile.Height {
		for x := seam.begin; x < seam.end; x++ {
			seam.mix(s.band.At(x, y), tile.At(x-left, y), x)
		}
		copy(s.band.Row(y, seam.end, end), tile.Row(y, seam.end-left, end-left))
	}
	if column == columns-1 {
		s.finish(row)
	}
}

// finish hands out the rows that no further tile changes, and keeps those that
// the next row of tiles is mixed with.
func (s *Stitcher) finish(row int) {
	above := s.grid.down.into(row, s.grid.featherY, s.scale)
	below := s.grid.down.into(row+1, s.grid.featherY, s.scale)
	top := s.grid.down.starts[row] * s.scale
	for y := above.begin; y < below.end; y++ {
		line := s.band.Row(y-top, 0, s.band.Width)
		if y < above.end {
			mixed := s.tail.Row(y-above.begin, 0, s.band.Width)
			above.mix(mixed, line, y)
			line = mixed
		}
		if y < below.begin {
			s.emit(line)
		} else {
			copy(s.tail.Row(y-below.begin, 0, s.band.Width), line)
		}
	}
}
