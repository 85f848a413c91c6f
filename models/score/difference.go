package score

import (
	"image"
	"math"
	"slices"
)

// PSNR is the peak signal-to-noise ratio of two pictures of one size, in dB:
// infinite where they are equal.
func PSNR(a, b image.Image) float64 {
	p, q := newPicture(a), newPicture(b)
	sum := 0.
	for i, c := range p.pix {
		sum += square(distance(c, q.pix[i]))
	}
	return 10 * math.Log10(255*255*3*float64(len(p.pix))/sum)
}

// MeanDifference is how far two pictures of one size are apart where the mask,
// of their size too, is black: the mean over those pixels' channels, 0 to 255.
func MeanDifference(a, b, mask image.Image) float64 {
	p, q, m := newPicture(a), newPicture(b), newPicture(mask)
	sum, n := 0., 0
	for i, c := range m.pix {
		if c[1] > 127 {
			continue
		}
		for channel := range 3 {
			sum += math.Abs(p.pix[i][channel] - q.pix[i][channel])
			n++
		}
	}
	return sum / float64(max(1, n))
}

// median returns the upper median, 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
