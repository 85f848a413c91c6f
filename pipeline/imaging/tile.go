package imaging

// tileFactor is how much smaller a picture becomes on its way through
// [Bitmap.Tile]: a power of two.
const tileFactor = 8

// Tile returns the picture without its details, as large as it was: what
// ControlNets of the kind called tile are shown. It is made smaller by 8, by the
// mean of each square, and larger again by three steps of a Gaussian pyramid
// (Burt, Adelson, IEEE Trans. Commun. 31, 1983). The pixels are those of OpenCV's
// INTER_AREA and pyrUp.
func (b *Bitmap) Tile() *Bitmap {
	small := b.shrink(tileFactor)
	for factor := tileFactor; factor > 1; factor /= 2 {
		small = small.pyramidUp()
	}
	if small.Width == b.Width && small.Height == b.Height {
		return small
	}
	tile := NewBitmap(b.Width, b.Height, b.Channels)
	tile.Paste(small, 0, 0)
	return tile
}

// shrink returns a picture smaller by a factor, rounded up: each of its pixels is
// the mean of a square.
func (b *Bitmap) shrink(factor int) *Bitmap {
	small := NewBitmap((b.Width+factor-1)/factor, (b.Height+factor-1)/factor, b.Channels)
	for y := range small.Height {
		for x := range small.Width {
			right, bottom := min((x+1)*factor, b.Width), min((y+1)*factor, b.Height)
			count := (right - x*factor) * (bottom - y*factor)
			for c := range b.Channels {
				sum := 0
				for row := y * factor; row < bottom; row++ {
					for column := x * factor; column < right; column++ {
						sum += int(b.Pix[(row*b.Width+column)*b.Channels+c])
					}
				}
				// Halves are rounded to the even neighbour.
				mean, rest := sum/count, sum%count
				if 2*rest > count || 2*rest == count && mean%2 == 1 {
					mean++
				}
				small.At(x, y)[c] = uint8(mean)
			}
		}
	}
	return small
}

// pyramidUp returns a picture twice as large, each of whose pixels is a sum by
// the weights 1 6 1 or 4 4, across and down. Before the first pixel comes the
// second, behind the last the last.
func (b *Bitmap) pyramidUp() *Bitmap {
	wide := 2 * b.Width * b.Channels
	sums := make([]int, b.Height*wide) // across, in eighths
	for y := range b.Height {
		row := b.Row(y, 0, b.Width)
		for x := range b.Width {
			before, at, after := before(x, b.Width)*b.Channels, x*b.Channels, min(x+1, b.Width-1)*b.Channels
			for c := range b.Channels {
				l, m, r := int(row[before+c]), int(row[at+c]), int(row[after+c])
				sums[y*wide+2*at+c] = l + 6*m + r
				sums[y*wide+2*at+b.Channels+c] = 4 * (m + r)
			}
		}
	}
	large := NewBitmap(2*b.Width, 2*b.Height, b.Channels)
	for y := range b.Height {
		above, at, below := sums[before(y, b.Height)*wide:], sums[y*wide:], sums[min(y+1, b.Height-1)*wide:]
		even, odd := large.Row(2*y, 0, large.Width), large.Row(2*y+1, 0, large.Width)
		for i := range wide {
			even[i] = uint8((above[i] + 6*at[i] + below[i] + 32) >> 6)
			odd[i] = uint8((4*(at[i]+below[i]) + 32) >> 6)
		}
	}
	return large
}

// before is the pixel before the i-th of a line of n: the second before the first.
func before(i, n int) int {
	if i == 0 {
		return min(1, n-1)
	}
	return i - 1
}

// Luminance returns the picture in gray, in as many channels: its brightness by
// ITU-R BT.601, as Pillow's mode L.
func (b *Bitmap) Luminance() *Bitmap {
	gray := NewBitmap(b.Width, b.Height, b.Channels)
	for i := 0; i < len(b.Pix); i += b.Channels {
		brightness := b.Pix[i]
		if b.Channels == 3 {
			brightness = luma(b.Pix[i], b.Pix[i+1], b.Pix[i+2])
		}
		for c := range b.Channels {
			gray.Pix[i+c] = brightness
		}
	}
	return gray
}
