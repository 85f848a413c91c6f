package score

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"
)

// canvas is a picture of one colour.
func canvas(side int, c rgb) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(img, img.Rect, image.NewUniform(opaque(c)), image.Point{}, draw.Src)
	return img
}

func opaque(c rgb) color.RGBA {
	return color.RGBA{uint8(c[0]), uint8(c[1]), uint8(c[2]), 255}
}

// stamp draws a shape of radius r around the middle at x, y, in shares of the width.
func stamp(img *image.RGBA, shape string, x, y, r float64, c rgb) {
	side := float64(img.Rect.Dx())
	for py := range img.Rect.Dy() {
		for px := range img.Rect.Dx() {
			if outlines[shape](((float64(px)+.5)/side-x)/r, ((float64(py)+.5)/side-y)/r) {
				img.SetRGBA(px, py, opaque(c))
			}
		}
	}
}

func TestOutlined(t *testing.T) {
	hollow := canvas(128, cream)
	stamp(hollow, "square", .5, .5, .25, colors["red"])
	full := canvas(128, cream)
	draw.Draw(full, full.Rect, hollow, image.Point{}, draw.Src)
	stamp(hollow, "square", .5, .5, .18, cream)
	elsewhere := canvas(128, colors["blue"])
	stamp(elsewhere, "square", .5, .5, .25, colors["red"])
	stamp(elsewhere, "square", .5, .5, .18, cream)
	for name, c := range map[string]struct {
		img           image.Image
		objects       int
		paper, hollow bool
	}{
		"hollow":          {hollow, 1, true, true},
		"one hollow of 2": {hollow, 2, true, true},
		"one hollow of 3": {hollow, 3, true, false},
		"full":            {full, 1, true, false},
		"paper inside":    {elsewhere, 1, false, true},
		"paper by itself": {canvas(128, cream), 1, true, false},
		"black by itself": {canvas(128, colors["black"]), 1, false, false},
	} {
		if paper, hollow := Outlined(c.img, c.objects); paper != c.paper || hollow != c.hollow {
			t.Errorf("%s: paper %v, hollow %v", name, paper, hollow)
		}
	}
}

func TestSepiaDistance(t *testing.T) {
	for _, share := range []float64{0, .3, 1} {
		if d := SepiaDistance(canvas(16, blend(sepiaDark, sepiaLight, share))); d > 1 {
			t.Errorf("a share of %v light is %.2f from sepia", share, d)
		}
	}
	if d := SepiaDistance(canvas(16, colors["blue"])); d < 100 {
		t.Errorf("blue is %.2f from sepia", d)
	}
}

func TestShowsGem(t *testing.T) {
	for _, c := range []struct {
		shape string
		color rgb
		want  bool
	}{
		{"diamond", turquoise, true}, {"diamond", colors["green"], false}, {"diamond", colors["blue"], false},
		{"circle", turquoise, false}, {"star", turquoise, false},
	} {
		img := canvas(128, colors["black"])
		stamp(img, c.shape, .4, .6, .15, c.color)
		if got := ShowsGem(img); got != c.want {
			t.Errorf("a %s in %v: %v", c.shape, c.color, got)
		}
	}
}

func TestEdgesFollowed(t *testing.T) {
	lines := canvas(128, rgb{})
	stamp(lines, "square", .5, .5, .25, rgb{255, 255, 255})
	stamp(lines, "square", .5, .5, .24, rgb{})
	picture := func(x, r float64) image.Image {
		img := canvas(128, colors["blue"])
		stamp(img, "square", x, .5, r, colors["yellow"])
		return img
	}
	if found, strict := EdgesFollowed(picture(.5, .25), lines); found < .999 || strict < .999 {
		t.Errorf("along the lines: %.3f found, %.3f strict", found, strict)
	}
	if found, strict := EdgesFollowed(picture(.6, .25), lines); found > .75 || strict > .75 {
		t.Errorf("a tenth aside: %.3f found, %.3f strict", found, strict)
	}
	if found, strict := EdgesFollowed(canvas(128, colors["blue"]), lines); found != 0 || strict != 1 {
		t.Errorf("nothing drawn: %.3f found, %.3f strict", found, strict)
	}
}

func TestEdgeWidth(t *testing.T) {
	// ramp goes from black to white within so many pixels.
	ramp := func(width int) image.Image {
		img := canvas(64, rgb{})
		for y := range 64 {
			for x := range 64 {
				v := math.Max(0, math.Min(255, 255*float64(x-30)/float64(width)))
				img.SetRGBA(x, y, opaque(rgb{v, v, v}))
			}
		}
		return img
	}
	for _, want := range []float64{1, 2, 4} {
		if got := EdgeWidth(ramp(int(want))); math.Abs(got-want) > .1 {
			t.Errorf("a ramp of %v pixels is %.2f wide", want, got)
		}
	}
	if got := EdgeWidth(canvas(64, colors["red"])); got != 0 {
		t.Errorf("a plain picture has edges %.2f wide", got)
	}
}

func TestDifferences(t *testing.T) {
	a, b := canvas(32, rgb{100, 100, 100}), canvas(32, rgb{110, 110, 110})
	if got, want := PSNR(a, b), 20*math.Log10(25.5); math.Abs(got-want) > 1e-9 {
		t.Errorf("PSNR %v, want %v", got, want)
	}
	if got := PSNR(a, a); !math.IsInf(got, 1) {
		t.Errorf("PSNR of equal pictures: %v", got)
	}
	mask := canvas(32, rgb{})
	stamp(mask, "square", .5, .5, .25, rgb{255, 255, 255})
	changed := canvas(32, rgb{100, 100, 100})
	stamp(changed, "square", .5, .5, .2, rgb{})
	if got := MeanDifference(a, changed, mask); got != 0 {
		t.Errorf("changed within the mask only: %v apart", got)
	}
	if got := MeanDifference(a, b, mask); got != 10 {
		t.Errorf("changed everywhere: %v apart", got)
	}
}
