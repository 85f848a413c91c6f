package score

import "math"

// at returns the background's colour at a place, with the horizon in the middle
// of its range and the hills' waves where they are for phase 0.
func (b Background) at(p point) rgb {
	switch b.Kind {
	case "plain":
		return backgroundColors[b.Color]
	case "gradient":
		return blend(backgroundColors[b.Top], backgroundColors[b.Bottom], p.y)
	}
	sky := skies[b.Time]
	switch b.Land {
	case "sky":
		return blend(sky[0], sky[1], p.y)
	case "sea":
		if p.y > horizon {
			shade := 1.15 - .3*(p.y-horizon)/(1-horizon)
			return blend(rgb{}, seas[b.Time], shade)
		}
	case "hills":
		for i := 1; i >= 0; i-- {
			wave := math.Sin(2 * math.Pi * (p.x*(1.1+.3*float64(i)) + .4*float64(i)))
			if p.y > horizon+.14*float64(i)+.07*wave {
				return hills[b.Time][i]
			}
		}
	}
	return blend(sky[0], sky[1], math.Min(1, p.y/horizon))
}

// palette returns colours from all over the background.
func (b Background) palette() []rgb {
	const n = 10
	var all []rgb
	for i := range n {
		for j := range n {
			all = append(all, b.at(point{(float64(i) + .5) / n, (float64(j) + .5) / n}))
		}
		if b.Kind != "landscape" || b.Land != "hills" {
			break // nothing changes from left to right
		}
	}
	return all
}

// blend goes from a to b as share goes from 0 to 1.
func blend(a, b rgb, share float64) rgb {
	for i := range a {
		a[i] += share * (b[i] - a[i])
	}
	return a
}

func distance(a, b rgb) float64 {
	sum := 0.
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(sum)
}
