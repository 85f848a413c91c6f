package score

import "maps"

// What the words of a scene mean. The numbers are those of the recipe, which
// draws the training pictures with them.

var colors = map[string]rgb{
	"red": {220, 40, 40}, "orange": {245, 140, 30}, "yellow": {250, 220, 50}, "green": {40, 160, 70},
	"blue": {40, 90, 215}, "purple": {130, 50, 170}, "pink": {250, 140, 190}, "brown": {120, 72, 40},
	"white": {250, 250, 250}, "black": {25, 25, 25},
}

var backgroundColors = func() map[string]rgb {
	all := maps.Clone(colors)
	all["gray"] = rgb{150, 150, 150}
	all[""] = rgb{228, 228, 224} // paper
	return all
}()

// A sky goes from its first colour at the top to its second at the horizon.
var skies = map[string][2]rgb{
	"day":    {{120, 190, 245}, {205, 230, 250}},
	"night":  {{12, 16, 45}, {45, 50, 100}},
	"sunset": {{95, 60, 135}, {250, 165, 105}},
}

// A sea is a little brighter than this at the horizon and darker at the bottom.
var seas = map[string]rgb{"day": {35, 115, 150}, "night": {14, 40, 78}, "sunset": {115, 72, 120}}

// Hills are two ranges, the far one first.
var hills = map[string][2]rgb{
	"day":    {{120, 185, 90}, {88, 152, 66}},
	"night":  {{32, 62, 48}, {22, 45, 36}},
	"sunset": {{125, 100, 70}, {95, 72, 52}},
}

// horizon is where sea and hills begin, as a share of the height. Training
// pictures have it at .58 to .68.
const horizon = .63

var places = map[string]point{
	"left": {.27, .5}, "right": {.73, .5}, "top": {.5, .27}, "bottom": {.5, .73}, "middle": {.5, .5},
	"top left": {.27, .27}, "top right": {.73, .27}, "bottom left": {.27, .73}, "bottom right": {.73, .73},
}

var relations = map[string][]point{
	"left": {{.27, .5}, {.73, .5}}, "right": {{.73, .5}, {.27, .5}},
	"above": {{.5, .27}, {.5, .73}}, "below": {{.5, .73}, {.5, .27}},
}

var row = []point{{.18, .5}, {.5, .5}, {.82, .5}}

// radii are shares of the width, least and most, by the number of objects less
// one and the size word.
var radii = [3]map[string][2]float64{
	{"small": {.13, .15}, "": {.19, .22}, "large": {.27, .31}},
	{"small": {.13, .14}, "": {.165, .18}, "large": {.21, .23}},
	{"": {.13, .14}},
}

func mean(pair [2]float64) float64 { return (pair[0] + pair[1]) / 2 }
