package imaging

import "image"

// Marked returns the smallest rectangle around all that a mask marks, however
// weakly; it is empty where that is nothing.
func (b *Bitmap) Marked() image.Rectangle {
	var marked image.Rectangle
	for y := range b.Height {
		for x, m := range b.Row(y, 0, b.Width) {
			if m > 0 {
				marked = marked.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return marked
}

// Region returns the part of a picture that is painted where only what a mask
// marks is, with so many pixels around it: made longer in one direction, as far
// as the picture reaches, to have the proportions of width to height. It is
// diffusers' get_crop_region.
func (b *Bitmap) Region(width, height, padding int) image.Rectangle {
	r := b.Marked().Inset(-padding).Intersect(image.Rect(0, 0, b.Width, b.Height))
	ratio := float64(width) / float64(height)
	if float64(r.Dx())/float64(r.Dy()) > ratio {
		r.Min.Y, r.Max.Y = lengthen(r.Min.Y, r.Max.Y, int(float64(r.Dx())/ratio), b.Height)
	} else {
		r.Min.X, r.Max.X = lengthen(r.Min.X, r.Max.X, int(float64(r.Dy())*ratio), b.Width)
	}
	return r
}

// lengthen makes an interval that lies in 0 .. limit longer, to both sides
// where there is room.
func lengthen(begin, end, length, limit int) (int, int) {
	more := length - (end - begin)
	begin -= more / 2
	end += more - more/2
	if over := end - limit; over >= 0 {
		begin, end = begin-over, limit
	}
	if begin < 0 {
		begin, end = 0, end-begin
	}
	return begin, min(end, limit)
}
