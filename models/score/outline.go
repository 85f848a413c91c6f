package score

import "math"

// outlines says for each shape of radius 1 around the origin whether it holds
// the point x, y; y goes down.
var outlines = map[string]func(x, y float64) bool{
	"circle":   func(x, y float64) bool { return x*x+y*y <= 1 },
	"ring":     func(x, y float64) bool { d := x*x + y*y; return d <= 1 && d >= .52*.52 },
	"square":   func(x, y float64) bool { return math.Max(math.Abs(x), math.Abs(y)) <= .9 },
	"triangle": polygon([]point{{0, -1}, {1, .85}, {-1, .85}}),
	"diamond":  func(x, y float64) bool { return math.Abs(x)/.78+math.Abs(y)/1.08 <= 1 },
	"star":     polygon(star()),
	"heart":    polygon(heart()),
	"cross": func(x, y float64) bool {
		x, y = math.Abs(x), math.Abs(y)
		return math.Max(x, y) <= 1 && math.Min(x, y) <= .36
	},
}

func star() []point {
	tips := make([]point, 10)
	for i := range tips {
		r, a := 1.08, float64(i)*math.Pi/5
		if i%2 == 1 {
			r *= .42
		}
		tips[i] = point{r * math.Sin(a), .05 - r*math.Cos(a)}
	}
	return tips
}

func heart() []point {
	edge := make([]point, 60)
	for i := range edge {
		a := 2 * math.Pi * float64(i) / 60
		y := (13*math.Cos(a) - 5*math.Cos(2*a) - 2*math.Cos(3*a) - math.Cos(4*a)) / 16
		edge[i] = point{1.02 * math.Pow(math.Sin(a), 3), -.06 - 1.02*y}
	}
	return edge
}

// polygon returns whether a point is inside the corners, by the even-odd rule.
func polygon(corners []point) func(x, y float64) bool {
	return func(x, y float64) bool {
		inside := false
		for i, a := range corners {
			b := corners[(i+1)%len(corners)]
			if (a.y > y) != (b.y > y) && x < a.x+(y-a.y)/(b.y-a.y)*(b.x-a.x) {
				inside = !inside
			}
		}
		return inside
	}
}
