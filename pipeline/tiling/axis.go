package tiling

// axis is one direction of a grid: where its tiles begin, and where the picture
// passes from one to the next.
type axis struct {
	length int   // pixels
	tile   int   // pixels of each tile
	starts []int // of the tiles
	seams  []int // the middle of what a tile and the next one share
}

// newAxis lays tiles along a length, evenly, so that each shares at least so
// many pixels with the next one. They are as few as can be, and no larger than
// they must be then; fixed and full ones have their size all the same.
func newAxis(length int, s Size, overlap int) axis {
	a := axis{length: length, tile: s.roundUp(min(length, s.Tile))}
	if s.Fixed {
		a.tile = s.Tile
	}
	if length <= a.tile {
		a.starts = []int{0}
		return a
	}
	n := ceil(length-overlap, s.Tile-overlap)
	if !s.Fixed && !s.Full {
		a.tile = min(s.roundUp(ceil(length+(n-1)*overlap, n)), s.Tile)
	}
	for i := range n {
		a.starts = append(a.starts, i*(length-a.tile)/(n-1))
		if i > 0 {
			a.seams = append(a.seams, (a.starts[i]+a.starts[i-1]+a.tile)/2)
		}
	}
	return a
}

// blend is where, in pixels of the enlarged picture, it passes from a tile to
// the next one: the weight of the next one rises from begin to end.
type blend struct{ begin, end int }

// into is the blend from the tile before the i-th into it; empty, at 0, for the
// first.
func (a axis) into(i, feather, scale int) blend {
	if i == 0 {
		return blend{}
	}
	if i > len(a.seams) {
		return blend{a.length * scale, a.length * scale}
	}
	begin := (a.seams[i-1] - feather/2) * scale
	return blend{begin, begin + feather*scale}
}

// mix writes to dst a pixel between what is there and src, at x within the
// blend. Equal pixels stay what they are.
func (b blend) mix(dst, src []uint8, x int) {
	all := uint32(2 * (b.end - b.begin))
	share := uint32(2*(x-b.begin) + 1)
	for c := range dst {
		dst[c] = uint8((uint32(dst[c])*(all-share) + uint32(src[c])*share + all/2) / all)
	}
}

func ceil(n, d int) int { return (n + d - 1) / d }
