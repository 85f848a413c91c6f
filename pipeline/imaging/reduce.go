package imaging

// Reduction resizes a picture whose rows come one after the other, from top to
// bottom, so that the picture need not be there as a whole: with the kernel of
// [Bitmap.Resize], always across before down.
type Reduction struct {
	to     *Bitmap
	across []taps // nil: the width stays
	down   []taps // nil: the height stays
	made   int    // rows of the result

	window []uint8 // rows of the picture, as wide as the result, that rows to come are made of
	first  int     // the window's first row
}

// NewReduction begins a picture of three channels of another size.
func NewReduction(fromWidth, fromHeight, width, height int) *Reduction {
	r := &Reduction{to: NewBitmap(width, height, 3)}
	if fromHeight != height {
		r.down = kernels(fromHeight, 0, fromHeight, height, lanczos)
	}
	if fromWidth != width {
		r.across = kernels(fromWidth, 0, fromWidth, width, lanczos)
	}
	return r
}

// Add takes the next row of the picture, which it doesn't keep.
func (r *Reduction) Add(row []uint8) {
	stride := 3 * r.to.Width
	if r.across == nil {
		r.window = append(r.window, row...)
	} else {
		at := len(r.window)
		r.window = append(r.window, make([]uint8, stride)...)
		for x, taps := range r.across {
			taps.apply(r.window[at+3*x:][:3], row[3*taps.first:], 3)
		}
	}
	if r.down == nil {
		copy(r.to.Pix[r.made*stride:], r.window)
		r.made++
		r.window = r.window[:0]
		return
	}
	for ; r.made < r.to.Height; r.made++ {
		taps := r.down[r.made]
		from := (taps.first - r.first) * stride
		if from+len(taps.weights)*stride > len(r.window) {
			r.forget(from)
			return
		}
		for i := range stride {
			taps.apply(r.to.Pix[r.made*stride+i:][:1], r.window[from+i:], stride)
		}
	}
}

// forget drops the window's beginning, when that is worth the copy.
func (r *Reduction) forget(bytesBefore int) {
	if bytesBefore < len(r.window)/2 {
		return
	}
	r.first += bytesBefore / (3 * r.to.Width)
	r.window = r.window[:copy(r.window, r.window[bytesBefore:])]
}

// Picture returns the result, when all rows have come.
func (r *Reduction) Picture() *Bitmap { return r.to }
