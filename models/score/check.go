package score

import (
	"image"
	"image/draw"
	"math"
	"slices"
)

const (
	maxColorDistance = 70  // of an object's pixel to its colour, in RGB
	minMatch         = .6  // of a blob with a shape
	maxMisplacement  = .15 // of a lone object from its place
	minApart         = .2  // of two objects, along their relation
	maxAskew         = .2  // of two objects, across their relation
	minStep          = .12 // between neighbours of a row

	// Distance of the background's pixels to the expected colours. Horizons
	// and hills may be a little elsewhere, so only most pixels count.
	maxBackgroundMedian   = 45
	maxBackgroundQuartile = 70 // the upper one
)

// A Result says which parts of a scene a picture shows right: each for all its
// objects.
type Result struct {
	Color      bool // each object's colour is there at all, as an area large enough
	Shape      bool
	Place      bool // where the scene asks for one
	Size       bool // where the scene asks for one
	Background bool
}

// All reports whether the picture shows the whole scene.
func (r Result) All() bool { return r.Color && r.Shape && r.Place && r.Size && r.Background }

// Check compares a picture with the scene that it should show. Pictures of 64
// px and more can be judged.
func Check(img image.Image, s Scene) Result {
	p := newPicture(img)
	result := Result{Color: true, Shape: true, Place: true, Size: true, Background: p.shows(s.Background)}
	var found []blob
	for i := range s.Objects {
		b, ok := p.find(s, i)
		if !ok {
			return Result{Background: result.Background}
		}
		if shape, match := b.shape(); shape != s.Objects[i].Shape || match < minMatch {
			result.Shape = false
		}
		if !sizeFits(b, s, i) {
			result.Size = false
		}
		found = append(found, b)
	}
	result.Place = placed(found, s)
	return result
}

// find returns the blob that is most likely the scene's i-th object: of its
// colour, like some shape, and near to where it should be.
func (p picture) find(s Scene, i int) (best blob, ok bool) {
	o := s.Objects[i]
	least := .3 * square(radii[len(s.Objects)-1][o.Size][0]*float64(p.width)) // a thin star covers 1.1 r^2
	most := math.Inf(-1)
	for _, b := range p.pixels(o.Color, s.Background.palette()).blobs(least) {
		_, match := b.shape()
		likely := match * math.Min(1, float64(b.area)/(2*least))
		if centres := s.centres(); centres != nil {
			likely -= .5 * math.Hypot(b.centre.x-centres[i].x, b.centre.y-centres[i].y)
		}
		if likely > most {
			best, most, ok = b, likely, true
		}
	}
	return best, ok
}

// pixels marks those that are nearer to the colour than to any other one and to
// the background.
func (p picture) pixels(name string, background []rgb) mask {
	m := newMask(p.width, p.height)
	want, others := colors[name], slices.Clone(background)
	for other, c := range colors {
		if other != name {
			others = append(others, c)
		}
	}
	// What is farther away can't be nearer to any pixel that is near enough.
	others = slices.DeleteFunc(others, func(other rgb) bool { return distance(other, want) > 2*maxColorDistance })
	for i, c := range p.pix {
		d := distance(c, want)
		m.on[i] = d < maxColorDistance && !slices.ContainsFunc(others, func(other rgb) bool { return distance(c, other) <= d })
	}
	return m
}

// sizeFits reports whether the blob is nearer to the asked size than to the
// opposite one.
func sizeFits(b blob, s Scene, i int) bool {
	size := s.Objects[i].Size
	if size == "" {
		return true
	}
	known := radii[len(s.Objects)-1]
	middle := (mean(known["small"]) + mean(known["large"])) / 2
	return (b.radius() < middle) == (size == "small")
}

// placed reports whether the objects are where the scene wants them.
func placed(found []blob, s Scene) bool {
	switch centres := s.centres(); len(found) {
	case 1:
		c := found[0].centre
		return centres == nil || math.Hypot(c.x-centres[0].x, c.y-centres[0].y) <= maxMisplacement
	case 2:
		dx := found[1].centre.x - found[0].centre.x
		dy := found[1].centre.y - found[0].centre.y
		switch s.Relation {
		case "left":
			return dx > minApart && math.Abs(dy) < maxAskew
		case "right":
			return dx < -minApart && math.Abs(dy) < maxAskew
		case "above":
			return dy > minApart && math.Abs(dx) < maxAskew
		default:
			return dy < -minApart && math.Abs(dx) < maxAskew
		}
	default:
		x := func(i int) float64 { return found[i].centre.x }
		return x(1)-x(0) > minStep && x(2)-x(1) > minStep
	}
}

// shows reports whether a frame along the picture's edges has the background's
// colours.
func (p picture) shows(b Background) bool {
	inset := max(1, int(.03*float64(min(p.width, p.height))))
	var off []float64
	for i, c := range p.pix {
		x, y := i%p.width, i/p.width
		if x != inset && x != p.width-1-inset && y != inset && y != p.height-1-inset {
			continue
		}
		at := point{float64(x) / float64(p.width-1), float64(y) / float64(p.height-1)}
		off = append(off, distance(c, b.at(at)))
	}
	slices.Sort(off)
	return off[len(off)/2] <= maxBackgroundMedian && off[len(off)*3/4] <= maxBackgroundQuartile
}

// picture holds an image's colours by rows.
type picture struct {
	width, height int
	pix           []rgb
}

func newPicture(img image.Image) picture {
	flat := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(flat, flat.Rect, img, img.Bounds().Min, draw.Src)
	p := picture{flat.Rect.Dx(), flat.Rect.Dy(), make([]rgb, flat.Rect.Dx()*flat.Rect.Dy())}
	for i := range p.pix {
		p.pix[i] = rgb{float64(flat.Pix[4*i]), float64(flat.Pix[4*i+1]), float64(flat.Pix[4*i+2])}
	}
	return p
}

func square(x float64) float64 { return x * x }
