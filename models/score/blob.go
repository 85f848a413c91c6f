package score

import (
	"image"
	"math"
	"sync"
)

// mask marks pixels of a picture.
type mask struct {
	width, height int
	on            []bool
}

func newMask(width, height int) mask {
	return mask{width, height, make([]bool, width*height)}
}

// blob is a connected part of a mask: pixels that touch by their sides.
type blob struct {
	mask   mask // of the whole picture, with this blob's pixels only
	bounds image.Rectangle
	area   int
	centre point // of gravity, as shares of width and height
}

// blobs returns the connected parts of at least the given area in pixels.
func (m mask) blobs(least float64) []blob {
	var found []blob
	seen := make([]bool, len(m.on))
	for start, on := range m.on {
		if !on || seen[start] {
			continue
		}
		b := blob{mask: newMask(m.width, m.height)}
		sumX, sumY := 0, 0
		seen[start] = true
		for stack := []int{start}; len(stack) > 0; {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := i%m.width, i/m.width
			b.mask.on[i] = true
			b.bounds = b.bounds.Union(image.Rect(x, y, x+1, y+1))
			b.area++
			sumX, sumY = sumX+x, sumY+y
			for _, next := range [4]struct {
				i  int
				ok bool
			}{{i - 1, x > 0}, {i + 1, x < m.width-1}, {i - m.width, y > 0}, {i + m.width, y < m.height-1}} {
				if next.ok && m.on[next.i] && !seen[next.i] {
					seen[next.i] = true
					stack = append(stack, next.i)
				}
			}
		}
		if float64(b.area) >= least {
			area := float64(b.area)
			b.centre = point{(float64(sumX)/area + .5) / float64(m.width), (float64(sumY)/area + .5) / float64(m.height)}
			found = append(found, b)
		}
	}
	return found
}

// radius is half the longer side of the blob, as a share of the width.
func (b blob) radius() float64 {
	return float64(max(b.bounds.Dx(), b.bounds.Dy())-1) / 2 / float64(b.mask.width)
}

// profileSide is the side of a profile in cells.
const profileSide = 32

// profile is a blob stretched to a square, by coverage of its cells, and its
// width over its height.
type profile struct {
	cells  [profileSide * profileSide]float64
	aspect float64
}

func (b blob) profile() profile {
	var p profile
	p.aspect = float64(b.bounds.Dx()) / float64(b.bounds.Dy())
	across := shares(b.bounds.Dx())
	down := shares(b.bounds.Dy())
	for y, rowShares := range down {
		for x, columnShares := range across {
			if !b.mask.on[(b.bounds.Min.Y+y)*b.mask.width+b.bounds.Min.X+x] {
				continue
			}
			for _, r := range rowShares {
				for _, c := range columnShares {
					p.cells[r.cell*profileSide+c.cell] += r.weight * c.weight
				}
			}
		}
	}
	return p
}

type share struct {
	cell   int
	weight float64
}

// shares says for each of n pixels side by side which cells of a profile it
// covers, and how much of each.
func shares(n int) [][]share {
	all := make([][]share, n)
	scale := float64(profileSide) / float64(n)
	for i := range all {
		from, to := float64(i)*scale, float64(i+1)*scale
		for cell := int(from); cell < profileSide && float64(cell) < to; cell++ {
			weight := math.Min(to, float64(cell+1)) - math.Max(from, float64(cell))
			if weight > 1e-9 {
				all[i] = append(all[i], share{cell, weight})
			}
		}
	}
	return all
}

// match is how alike two profiles are, 0 to 1: the overlap over the union, less
// for other proportions.
func (p profile) match(q profile) float64 {
	overlap, union := 0., 0.
	for i := range p.cells {
		overlap += math.Min(p.cells[i], q.cells[i])
		union += math.Max(p.cells[i], q.cells[i])
	}
	return overlap / union * math.Exp(-.5*math.Abs(math.Log(p.aspect/q.aspect)))
}

// templates are the profiles of all shapes.
var templates = sync.OnceValue(func() map[string]profile {
	const side, radius = 128, 51.2
	all := make(map[string]profile)
	for shape, holds := range outlines {
		m := newMask(side, side)
		for i := range m.on {
			x, y := float64(i%side)+.5-side/2, float64(i/side)+.5-side/2
			m.on[i] = holds(x/radius, y/radius)
		}
		all[shape] = m.blobs(1)[0].profile()
	}
	return all
})

// shape returns the name of the shape that the blob is most like, and how much.
func (b blob) shape() (string, float64) {
	p := b.profile()
	best, most := "", 0.
	for shape, template := range templates() {
		if m := p.match(template); m > most || m == most && shape < best {
			best, most = shape, m
		}
	}
	return best, most
}
