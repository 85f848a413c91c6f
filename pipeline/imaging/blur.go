package imaging

import "math"

// boxes is how many box blurs make a Gaussian one.
const boxes = 3

// Blur returns the picture blurred by a Gaussian of a standard deviation in
// pixels, as Pillow's GaussianBlur does: three box blurs of a fractional radius
// in each direction, rounded to 8 bits after each (Gwosdek et al., Theoretical
// Foundations of Gaussian Convolution by Extended Box Filtering, SSVM 2011).
func (b *Bitmap) Blur(deviation float64) *Bitmap {
	if deviation == 0 {
		return b
	}
	box := newBox(float32(deviation))
	blurred := NewBitmap(b.Width, b.Height, b.Channels)
	copy(blurred.Pix, b.Pix)
	line, out := make([]uint8, max(b.Width, b.Height)), make([]uint8, max(b.Width, b.Height))
	along := func(first, step, n int) {
		for i := range n {
			line[i] = blurred.Pix[first+i*step]
		}
		for range boxes {
			box.apply(out[:n], line[:n])
			line, out = out, line
		}
		for i := range n {
			blurred.Pix[first+i*step] = line[i]
		}
	}
	stride := b.Width * b.Channels
	for i := range b.Height * b.Channels {
		along(i/b.Channels*stride+i%b.Channels, b.Channels, b.Width)
	}
	for i := range stride {
		along(i, stride, b.Height)
	}
	return blurred
}

// box is the mean over a window of 2 radius + 1 pixels and a part of one more
// on each side. Weights are fractions of 2^24.
type box struct {
	radius     int
	inner, rim uint32
}

// newBox returns the box of which three in a row have a Gaussian's variance.
func newBox(deviation float32) box {
	variance := float32(deviation*deviation) / boxes
	length := float32(math.Sqrt(12*float64(variance) + 1))
	whole := float32(math.Floor((float64(length) - 1) / 2))
	part := float32((2*whole + 1) * float32(float32(whole*(whole+1))-float32(3*variance)))
	part /= 6 * float32(variance-float32((whole+1)*(whole+1)))
	radius := whole + part
	inner := uint32(float32(1<<24) / (float32(radius*2) + 1))
	return box{int(radius), inner, (1<<24 - (2*uint32(int(radius))+1)*inner) / 2}
}

// apply blurs a line; beyond its ends their pixels go on.
func (b box) apply(to, from []uint8) {
	at := func(i int) uint32 { return uint32(from[min(max(i, 0), len(from)-1)]) }
	sum := uint32(0)
	for i := -b.radius - 1; i < b.radius; i++ {
		sum += at(i)
	}
	for i := range to {
		sum += at(i+b.radius) - at(i-b.radius-1)
		total := sum*b.inner + (at(i-b.radius-1)+at(i+b.radius+1))*b.rim
		to[i] = uint8((total + 1<<23) >> 24)
	}
}
