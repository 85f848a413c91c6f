package pipeline

import (
	"fmt"
	"math"

	"github.com/darkroom/darkroom/pipeline/tiling"
)

const (
	// tileBytes is what a tile's call may take. Tiles of a network are of one
	// size wherever there is so much memory for each lane, since it may show in
	// a picture's last bits.
	tileBytes = 512 << 20
	mostTile  = 512 // pixels
	leastTile = 64

	// live is how many of a network's largest results are there at a time.
	live = 3
)

// fit chooses the tiles' size for a network that has so many numbers at a time
// for each pixel of what it enlarges.
func (u *upscaler) fit(numbers int64) error {
	perPixel := 4 * live * max(numbers, int64(3*u.scale*u.scale))
	u.usual = u.tiles(tileBytes / perPixel)
	u.first = u.usual
	d := u.lanes.device
	if d.Memory == 0 {
		return nil
	}
	u.first = u.tiles(min(tileBytes, d.Memory/int64(d.Lanes)) / perPixel)
	if need := perPixel * int64(u.first.across.Tile*u.first.down.Tile); need > d.Memory {
		return fmt.Errorf("a tile of %v pixels takes about %d MiB, and there are %d: %w", u.first, need>>20, d.Memory>>20, ErrOutOfMemory)
	}
	return nil
}

// tiles are those of so many pixels at the most, in directions that aren't fixed.
func (u *upscaler) tiles(pixels int64) tiles {
	side := int(math.Sqrt(float64(pixels)))
	free := func(s tiling.Size) tiling.Size {
		if !s.Fixed {
			if u.lanes.device.Tunes {
				s.Full, s.Multiple = true, max(s.Multiple, leastTile)
			}
			step := max(s.Multiple, leastTile/2)
			s.Tile = max(leastTile, min(side, mostTile)/step*step)
		}
		return s
	}
	return tiles{free(u.usual.across), free(u.usual.down)}
}

// tiles say how a picture is cut.
type tiles struct{ across, down tiling.Size }

func (t tiles) String() string { return fmt.Sprintf("%dx%d", t.across.Tile, t.down.Tile) }

// smaller are tiles of half the sides; none where they can't be smaller.
func (t tiles) smaller() (smaller tiles, ok bool) {
	for _, s := range []*tiling.Size{&t.across, &t.down} {
		if half := s.Tile / 2; !s.Fixed && half >= leastTile && half%max(s.Multiple, 1) == 0 {
			s.Tile, ok = half, true
		}
	}
	return t, ok
}
