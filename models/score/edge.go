package score

import (
	"image"
	"math"
)

// edgeStep is the least Sobel gradient, |gx| + |gy| of any channel, at an edge.
const edgeStep = 160

// gradients returns each pixel's Sobel gradient, |gx| + |gy|, of the channel
// where it is largest.
func (p picture) gradients() []float64 {
	all := make([]float64, len(p.pix))
	at := func(x, y int) rgb {
		return p.pix[max(0, min(p.height-1, y))*p.width+max(0, min(p.width-1, x))]
	}
	for i := range all {
		x, y := i%p.width, i/p.width
		for c := range 3 {
			gx := at(x+1, y-1)[c] + 2*at(x+1, y)[c] + at(x+1, y+1)[c] - at(x-1, y-1)[c] - 2*at(x-1, y)[c] - at(x-1, y+1)[c]
			gy := at(x-1, y+1)[c] + 2*at(x, y+1)[c] + at(x+1, y+1)[c] - at(x-1, y-1)[c] - 2*at(x, y-1)[c] - at(x+1, y-1)[c]
			all[i] = math.Max(all[i], math.Abs(gx)+math.Abs(gy))
		}
	}
	return all
}

// EdgesFollowed compares a picture's edges with those that it should have, a
// picture of its size with bright lines on black. found is the share of the
// lines that have an edge of the picture beside them, strict the share of the
// picture's edges that have a line beside them, both 0 to 1. Beside is within
// a fortieth of the width.
func EdgesFollowed(img, lines image.Image) (found, strict float64) {
	p, control := newPicture(img), newPicture(lines)
	edges, asked := newMask(p.width, p.height), newMask(control.width, control.height)
	for i, g := range p.gradients() {
		edges.on[i] = g > edgeStep
	}
	for i, c := range control.pix {
		asked.on[i] = c[1] > 127
	}
	reach := max(1, p.width/40)
	return asked.near(edges, reach), edges.near(asked, reach)
}

// near is the share of the mask's pixels that have one of the other within
// reach, across or down; 1 for an empty mask.
func (m mask) near(other mask, reach int) float64 {
	all, hits := 0, 0
	for i, on := range m.on {
		if !on {
			continue
		}
		all++
		x, y := i%m.width, i/m.width
	search:
		for ny := max(0, y-reach); ny <= min(other.height-1, y+reach); ny++ {
			for nx := max(0, x-reach); nx <= min(other.width-1, x+reach); nx++ {
				if other.on[ny*other.width+nx] {
					hits++
					break search
				}
			}
		}
	}
	if all == 0 {
		return 1
	}
	return float64(hits) / float64(all)
}

// EdgeWidth is how many pixels a picture's strong edges take from one side to
// the other, the median over them: the contrast across 9 pixels over the
// steepest step between neighbours. A step from one pixel to the next is 1
// wide. It is 0 for a picture without strong edges.
func EdgeWidth(img image.Image) float64 {
	p := newPicture(img)
	var widths []float64
	measure := func(start, stride int) {
		const span = 9
		for c := range 3 {
			low, high, steepest, at := 255., 0., 0., 0
			for k := range span {
				v := p.pix[start+k*stride][c]
				low, high = math.Min(low, v), math.Max(high, v)
				if k > 0 {
					if step := math.Abs(v - p.pix[start+(k-1)*stride][c]); step > steepest {
						steepest, at = step, k
					}
				}
			}
			if high-low > 80 && (at == span/2 || at == span/2+1) {
				widths = append(widths, (high-low)/steepest)
			}
		}
	}
	for y := range p.height {
		for x := range p.width {
			if x+9 <= p.width {
				measure(y*p.width+x, 1)
			}
			if y+9 <= p.height {
				measure(y*p.width+x, p.width)
			}
		}
	}
	return median(widths)
}
