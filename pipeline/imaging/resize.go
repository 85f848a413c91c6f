package imaging

import (
	"image"
	"math"
)

// filter is a kernel of resampling.
type filter struct {
	support float64 // pixels to each side
	weight  func(x float64) float64
}

var (
	lanczos = filter{3, func(x float64) float64 {
		if x < -3 || x >= 3 {
			return 0
		}
		return sinc(x) * sinc(x/3)
	}}
	bicubic = filter{2, func(x float64) float64 {
		const a = -.5
		switch x = math.Abs(x); {
		case x < 1:
			return ((a+2)*x-(a+3))*x*x + 1
		case x < 2:
			return (((x-5)*x+8)*x - 4) * a
		}
		return 0
	}}
)

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// Resize returns the picture at another size: with a Lanczos kernel of three
// lobes, in Pillow's 8-bit fixed-point arithmetic, so that its pixels are those
// that diffusers sees.
func (b *Bitmap) Resize(width, height int) *Bitmap {
	return b.resample(width, height, image.Rect(0, 0, b.Width, b.Height), lanczos)
}

// Bicubic returns the picture at another size as Resize does, with the kernel
// that Pillow calls bicubic.
func (b *Bitmap) Bicubic(width, height int) *Bitmap {
	return b.resample(width, height, image.Rect(0, 0, b.Width, b.Height), bicubic)
}

// resample returns what lies in box at another size. A box may be empty in one
// direction: then it is a line that all pixels in that direction lie on.
func (b *Bitmap) resample(width, height int, box image.Rectangle, f filter) *Bitmap {
	wide := func(b *Bitmap) *Bitmap {
		if width == b.Width && box.Min.X == 0 && box.Max.X == width {
			return b
		}
		to := NewBitmap(width, b.Height, b.Channels)
		for x, taps := range kernels(b.Width, box.Min.X, box.Max.X, width, f) {
			for y := range b.Height {
				taps.apply(to.At(x, y), b.Pix[(y*b.Width+taps.first)*b.Channels:], b.Channels)
			}
		}
		return to
	}
	high := func(b *Bitmap) *Bitmap {
		if height == b.Height && box.Min.Y == 0 && box.Max.Y == height {
			return b
		}
		stride := b.Width * b.Channels
		to := NewBitmap(b.Width, height, b.Channels)
		for y, taps := range kernels(b.Height, box.Min.Y, box.Max.Y, height, f) {
			for i := range stride {
				taps.apply(to.Pix[y*stride+i:][:1], b.Pix[taps.first*stride+i:], stride)
			}
		}
		return to
	}
	// Pixels are rounded between the two directions, so that their order shows.
	// This is the rule of Pillow 13, found by trying sizes; older ones always begin
	// with the width.
	if b.Height-height > 2*max(b.Width-width, 0) {
		return wide(high(b))
	}
	return high(wide(b))
}

// precision is the fraction's bits of a weight: two more are for sums beyond
// the range of 8 bits.
const precision = 32 - 8 - 2

// taps are what makes one pixel out of a line of them.
type taps struct {
	first   int // of the pixels that the weights are for
	weights []int32
}

// apply writes the weighted sum of pixels for each channel of to; stride is
// from pixel to pixel.
func (t taps) apply(to, from []uint8, stride int) {
	for c := range to {
		sum := int32(1) << (precision - 1)
		for i, w := range t.weights {
			sum += w * int32(from[i*stride+c])
		}
		to[c] = uint8(min(max(sum>>precision, 0), 255))
	}
}

// kernels returns the taps of each of size pixels that lie evenly from begin
// to end on a line of length pixels.
func kernels(length, begin, end, size int, f filter) []taps {
	step := float64(end-begin) / float64(size)
	spread := max(step, 1)
	reach := f.support * spread
	all := make([]taps, size)
	for i := range all {
		center := float64(begin) + (float64(i)+.5)*step
		first := max(int(center-reach+.5), 0)
		last := min(int(center+reach+.5), length)
		exact := make([]float64, last-first)
		sum := 0.
		for j := range exact {
			exact[j] = f.weight((float64(j+first) - center + .5) * (1 / spread))
			sum += exact[j]
		}
		weights := make([]int32, len(exact))
		for j, w := range exact {
			if sum != 0 {
				w /= sum
			}
			weights[j] = int32(w*(1<<precision) + math.Copysign(.5, w))
		}
		all[i] = taps{first, weights}
	}
	return all
}

// Fill returns the picture as large as fits into a size without a change of
// its proportions; what it leaves free on two sides has its edge's pixels. It
// is diffusers' resize mode of that name.
func (b *Bitmap) Fill(width, height int) *Bitmap {
	ratio, own := float64(width)/float64(height), float64(b.Width)/float64(b.Height)
	w, h := width, height
	if ratio >= own {
		w = max(b.Width*height/b.Height, 1)
	}
	if ratio < own {
		h = max(b.Height*width/b.Width, 1)
	}
	scaled := b.Resize(w, h)
	filled := NewBitmap(width, height, b.Channels)
	filled.Paste(scaled, width/2-w/2, height/2-h/2)
	if band := height/2 - h/2; ratio < own && band > 0 {
		filled.Paste(scaled.resample(width, band, image.Rect(0, 0, w, 0), bicubic), 0, 0)
		filled.Paste(scaled.resample(width, band, image.Rect(0, h, w, h), bicubic), 0, band+h)
	}
	if band := width/2 - w/2; ratio > own && band > 0 {
		filled.Paste(scaled.resample(band, height, image.Rect(0, 0, 0, h), bicubic), 0, 0)
		filled.Paste(scaled.resample(band, height, image.Rect(w, 0, w, h), bicubic), band+w, 0)
	}
	return filled
}

// Cover returns the picture as small as covers a size without a change of its
// proportions, its middle part. It is diffusers' resize mode crop.
func (b *Bitmap) Cover(width, height int) *Bitmap {
	ratio, own := float64(width)/float64(height), float64(b.Width)/float64(b.Height)
	w, h := width, height
	if ratio <= own {
		w = max(b.Width*height/b.Height, 1)
	}
	if ratio > own {
		h = max(b.Height*width/b.Width, 1)
	}
	covering := NewBitmap(width, height, b.Channels)
	covering.Paste(b.Resize(w, h), width/2-w/2, height/2-h/2)
	return covering
}
