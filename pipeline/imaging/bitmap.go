package imaging

import (
	"image"
	"image/color"
	"image/draw"
)

// Bitmap is a picture of 8 bits a channel: row by row, the channels of a pixel
// side by side.
type Bitmap struct {
	Width, Height int
	Channels      int // 3: red, green, blue; 1: a mask or gray
	Pix           []uint8
}

// NewBitmap returns a black bitmap.
func NewBitmap(width, height, channels int) *Bitmap {
	return &Bitmap{width, height, channels, make([]uint8, width*height*channels)}
}

// At returns the channels of a pixel, in place.
func (b *Bitmap) At(x, y int) []uint8 {
	i := (y*b.Width + x) * b.Channels
	return b.Pix[i : i+b.Channels]
}

// Row returns the channels of the pixels from x to end of a row, in place.
func (b *Bitmap) Row(y, x, end int) []uint8 {
	return b.Pix[(y*b.Width+x)*b.Channels : (y*b.Width+end)*b.Channels]
}

// Crop returns the pixels within a rectangle, which must lie in the bitmap.
func (b *Bitmap) Crop(r image.Rectangle) *Bitmap {
	if r == image.Rect(0, 0, b.Width, b.Height) {
		return b
	}
	part := NewBitmap(r.Dx(), r.Dy(), b.Channels)
	for y := range part.Height {
		copy(part.Row(y, 0, part.Width), b.Row(r.Min.Y+y, r.Min.X, r.Max.X))
	}
	return part
}

// Paste puts the pixels of a bitmap of as many channels at (x, y); what lies
// outside is cut off.
func (b *Bitmap) Paste(from *Bitmap, x, y int) {
	left, right := max(x, 0), min(x+from.Width, b.Width)
	for row := max(y, 0); row < min(y+from.Height, b.Height) && left < right; row++ {
		copy(b.Row(row, left, right), from.Row(row-y, left-x, right-x))
	}
}

// Extend returns the bitmap on a canvas that is larger by some pixels on each
// side. Beyond its edges the pixels at the edges go on.
func (b *Bitmap) Extend(left, top, right, bottom int) *Bitmap {
	canvas := NewBitmap(left+b.Width+right, top+b.Height+bottom, b.Channels)
	for y := range canvas.Height {
		from := min(max(y-top, 0), b.Height-1)
		copy(canvas.Row(y, left, left+b.Width), b.Row(from, 0, b.Width))
		for x := range left {
			copy(canvas.At(x, y), b.At(0, from))
		}
		for x := range right {
			copy(canvas.At(left+b.Width+x, y), b.At(b.Width-1, from))
		}
	}
	return canvas
}

// Surround returns the bitmap on a canvas that is larger by some pixels on each
// side, which have one value in all channels.
func (b *Bitmap) Surround(value uint8, left, top, right, bottom int) *Bitmap {
	canvas := NewBitmap(left+b.Width+right, top+b.Height+bottom, b.Channels)
	for i := range canvas.Pix {
		canvas.Pix[i] = value
	}
	canvas.Paste(b, left, top)
	return canvas
}

// rgb returns a picture's colors; where it is transparent, white shows through.
func rgb(picture *image.NRGBA) *Bitmap {
	b := NewBitmap(picture.Rect.Dx(), picture.Rect.Dy(), 3)
	for y := range b.Height {
		from := picture.Pix[y*picture.Stride:]
		to := b.Row(y, 0, b.Width)
		for x := range b.Width {
			alpha := from[4*x+3]
			for c := range 3 {
				to[3*x+c] = over(from[4*x+c], alpha, 255)
			}
		}
	}
	return b
}

// mask returns a picture as a mask, 255 where it is to be painted anew: where
// it is transparent, if it is that anywhere, and else where it is white.
func mask(picture *image.NRGBA) *Bitmap {
	b := NewBitmap(picture.Rect.Dx(), picture.Rect.Dy(), 1)
	transparent := !picture.Opaque()
	for y := range b.Height {
		from := picture.Pix[y*picture.Stride:]
		to := b.Row(y, 0, b.Width)
		for x := range to {
			if transparent {
				to[x] = 255 - from[4*x+3]
			} else {
				to[x] = luma(from[4*x], from[4*x+1], from[4*x+2])
			}
		}
	}
	return b
}

// luma is the brightness of a color by ITU-R BT.601, in Pillow's arithmetic.
func luma(r, g, b uint8) uint8 {
	return uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 1<<15) >> 16)
}

// straight returns a picture with 8 bits a channel and colors that are not
// multiplied with alpha. Of 16 bits a channel the upper 8 stay.
func straight(picture image.Image) *image.NRGBA {
	bounds := picture.Bounds()
	to := image.NewNRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	if o, ok := picture.(interface{ Opaque() bool }); ok && o.Opaque() {
		// image/draw is fast for opaque pictures of all kinds, and exact.
		draw.Draw((*image.RGBA)(to), to.Rect, picture, bounds.Min, draw.Src)
		return to
	}
	switch from := picture.(type) {
	case *image.NRGBA:
		for y := range bounds.Dy() {
			copy(to.Pix[y*to.Stride:][:to.Stride], from.Pix[y*from.Stride:])
		}
	case *image.NRGBA64:
		for y := range bounds.Dy() {
			row := from.Pix[y*from.Stride:]
			for i := range to.Stride {
				to.Pix[y*to.Stride+i] = row[2*i]
			}
		}
	default:
		for y := range bounds.Dy() {
			for x := range bounds.Dx() {
				to.SetNRGBA(x, y, color.NRGBAModel.Convert(picture.At(bounds.Min.X+x, bounds.Min.Y+y)).(color.NRGBA))
			}
		}
	}
	return to
}
