package score

import (
	"image"
	"math"
)

var (
	cream      = rgb{244, 238, 222} // the paper of outlines
	sepiaDark  = rgb{46, 26, 10}
	sepiaLight = rgb{255, 236, 200}
	turquoise  = rgb{20, 178, 170} // of a gem
)

const maxGemDistance = 90 // of a gem's pixel to turquoise, in RGB

// Outlined reports how far a picture is in the style of the LoRA house-outline:
// whether more than half of it is cream paper, and whether at least half of its
// shapes, of which its scene has so many, are hollow, with paper inside.
func Outlined(img image.Image, objects int) (paper, hollow bool) {
	p := newPicture(img)
	m := newMask(p.width, p.height)
	for i, c := range p.pix {
		m.on[i] = distance(c, cream) < 45
	}
	around, inside := 0, 0
	for _, b := range m.blobs(.0006 * float64(len(p.pix))) {
		if b.bounds.Inset(-1).In(image.Rect(0, 0, p.width, p.height)) {
			inside++
		} else {
			around += b.area
		}
	}
	return 2*around > len(p.pix), 2*inside >= objects
}

// SepiaDistance is how far a picture's colours are from brown tones, dark to
// light, as the LoRA house-sepia draws: the mean over its pixels, in RGB.
func SepiaDistance(img image.Image) float64 {
	p := newPicture(img)
	sum := 0.
	for _, c := range p.pix {
		along, length := 0., 0.
		for i := range c {
			step := sepiaLight[i] - sepiaDark[i]
			along += (c[i] - sepiaDark[i]) * step
			length += step * step
		}
		sum += distance(c, blend(sepiaDark, sepiaLight, math.Max(0, math.Min(1, along/length))))
	}
	return sum / float64(len(p.pix))
}

// ShowsGem reports whether a picture shows what the embedding house-gem's token
// stands for: a turquoise diamond.
func ShowsGem(img image.Image) bool {
	p := newPicture(img)
	m := newMask(p.width, p.height)
	for i, c := range p.pix {
		d := distance(c, turquoise)
		m.on[i] = d < maxGemDistance && d < distance(c, colors["green"]) && d < distance(c, colors["blue"])
	}
	for _, b := range m.blobs(.01 * float64(len(p.pix))) {
		if shape, match := b.shape(); shape == "diamond" && match >= minMatch {
			return true
		}
	}
	return false
}
