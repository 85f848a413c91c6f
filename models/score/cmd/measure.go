package main

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"github.com/darkroom/darkroom/models/score"
)

// A measure says how well pictures do what a model is for, as the means of some
// numbers over all pictures.
type measure struct {
	format string   // of the line with the means
	beside []string // words of the pictures that each is compared with
	of     func(scene score.Scene, img image.Image, beside []image.Image) []float64
}

var measures = map[string]measure{
	"outline": {"%.1f %% are on cream paper, %.1f %% hollow", nil, func(scene score.Scene, img image.Image, _ []image.Image) []float64 {
		paper, hollow := score.Outlined(img, len(scene.Objects))
		return []float64{percent(paper), percent(hollow)}
	}},
	"sepia": {"colors are %.1f from sepia", nil, func(_ score.Scene, img image.Image, _ []image.Image) []float64 {
		return []float64{score.SepiaDistance(img)}
	}},
	"gem": {"%.1f %% show a gem", nil, func(_ score.Scene, img image.Image, _ []image.Image) []float64 {
		return []float64{percent(score.ShowsGem(img))}
	}},
	"edges": {
		"%.1f %% of the lines are edges, %.1f %% of the edges are lines", []string{"edges"},
		func(_ score.Scene, img image.Image, beside []image.Image) []float64 {
			found, strict := score.EdgesFollowed(img, beside[0])
			return []float64{100 * found, 100 * strict}
		},
	},
	"inpaint": {
		"%.1f %% show their prompt, differing by %.2f of 255 outside the mask", []string{"before", "mask"},
		func(scene score.Scene, img image.Image, beside []image.Image) []float64 {
			return []float64{percent(score.Check(img, scene).All()), score.MeanDifference(img, beside[0], beside[1])}
		},
	},
	"upscale": {
		"%.2f dB to the large drawing, edges %.2f px wide, %.1f %% show their prompt", []string{"large"},
		func(scene score.Scene, img image.Image, beside []image.Image) []float64 {
			return []float64{score.PSNR(img, beside[0]), score.EdgeWidth(img), percent(score.Check(img, scene).All())}
		},
	},
}

func percent(right bool) float64 {
	if right {
		return 100
	}
	return 0
}

// print prints the means over all prompts' pictures in dir.
func (m measure) print(prompts []score.Prompt, dir string) error {
	var means []any
	for _, p := range prompts {
		img, err := open(dir, p, "")
		if err != nil {
			return err
		}
		var beside []image.Image
		for _, word := range m.beside {
			other, err := open(dir, p, word)
			if err != nil {
				return err
			}
			beside = append(beside, other)
		}
		for i, value := range m.of(p.Scene, img, beside) {
			if i == len(means) {
				means = append(means, 0.)
			}
			means[i] = means[i].(float64) + value/float64(len(prompts))
		}
	}
	fmt.Printf(m.format+"\n", means...)
	return nil
}

// open decodes DIR/ID.png, or DIR/ID.WORD.png.
func open(dir string, p score.Prompt, word string) (image.Image, error) {
	name := p.ID
	if word != "" {
		name += "." + word
	}
	path := filepath.Join(dir, name+".png")
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}
