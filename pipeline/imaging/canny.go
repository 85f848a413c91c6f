package imaging

// Canny returns a picture's edges (Canny, IEEE PAMI 8, 1986), white lines one
// pixel wide on black, in three channels. low and high are the thresholds of
// its hysteresis, for the gradient's size |gx| + |gy| by Sobel's kernels, of the
// channel where it is largest; nothing is blurred before. The pixels are those
// of OpenCV's cv2.Canny(picture, low, high).
func (b *Bitmap) Canny(low, high int) *Bitmap {
	g := b.gradients()
	edges := NewBitmap(b.Width, b.Height, 3)
	weak := make([]bool, b.Width*b.Height)
	var grow []int // edges whose neighbours are still to be looked at
	for i := range weak {
		if size := int(g.size[i]); size > low && g.ridge(i) {
			weak[i] = true
			if size > high {
				grow = append(grow, i)
			}
		}
	}
	for len(grow) > 0 {
		i := grow[len(grow)-1]
		grow = grow[:len(grow)-1]
		if !weak[i] {
			continue // it was reached on another way
		}
		weak[i] = false
		copy(edges.Pix[3*i:], []uint8{255, 255, 255})
		x, y := i%b.Width, i/b.Width
		for ny := max(y-1, 0); ny <= min(y+1, b.Height-1); ny++ {
			for nx := max(x-1, 0); nx <= min(x+1, b.Width-1); nx++ {
				if n := ny*b.Width + nx; weak[n] {
					grow = append(grow, n)
				}
			}
		}
	}
	return edges
}

// gradients are a picture's, of each pixel.
type gradients struct {
	width, height int
	x, y          []int16
	size          []int16 // |x| + |y|
}

// gradients convolves with Sobel's kernels. Beyond the edges the pixels at the
// edges go on.
func (b *Bitmap) gradients() gradients {
	n := b.Width * b.Height
	g := gradients{b.Width, b.Height, make([]int16, n), make([]int16, n), make([]int16, n)}
	for y := range b.Height {
		above, at, below := b.Row(max(y-1, 0), 0, b.Width), b.Row(y, 0, b.Width), b.Row(min(y+1, b.Height-1), 0, b.Width)
		for x := range b.Width {
			left, middle, right := max(x-1, 0)*b.Channels, x*b.Channels, min(x+1, b.Width-1)*b.Channels
			i := y*b.Width + x
			for c := range b.Channels {
				corner := int16(below[right+c]) - int16(above[left+c])
				other := int16(above[right+c]) - int16(below[left+c])
				gx := corner + other + 2*(int16(at[right+c])-int16(at[left+c]))
				gy := corner - other + 2*(int16(below[middle+c])-int16(above[middle+c]))
				if size := max(gx, -gx) + max(gy, -gy); c == 0 || size > g.size[i] {
					g.x[i], g.y[i], g.size[i] = gx, gy, size
				}
			}
		}
	}
	return g
}

// ridge tells whether a gradient is larger than those before and behind it in
// its own direction, of which there are four.
func (g *gradients) ridge(i int) bool {
	x, y := i%g.width, i/g.width
	at := func(dx, dy int) int16 {
		if x+dx < 0 || x+dx >= g.width || y+dy < 0 || y+dy >= g.height {
			return 0
		}
		return g.size[i+dy*g.width+dx]
	}
	const eighth = 13573 // the tangent of 22.5 degrees, in 1/32768
	gx, gy := int(g.x[i]), int(g.y[i])
	wide, high := max(gx, -gx)*eighth, max(gy, -gy)<<15
	switch size := g.size[i]; {
	case high < wide:
		return size > at(-1, 0) && size >= at(1, 0)
	case high > wide+max(gx, -gx)<<16:
		return size > at(0, -1) && size >= at(0, 1)
	case (gx < 0) == (gy < 0):
		return size > at(-1, -1) && size > at(1, 1)
	default:
		return size > at(1, -1) && size > at(-1, 1)
	}
}
