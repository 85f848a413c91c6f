// Command cmd scores a folder of pictures against the prompts they were drawn
// for: DIR/ID.png for each line of the prompts file.
//
//	go run ./models/score/cmd [-prompts FILE] [-wrong] DIR
package main

import (
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"github.com/darkroom/darkroom/models/score"
)

func main() {
	prompts := flag.String("prompts", "models/score/testdata/heldout.jsonl", "the prompts, one JSON object a line")
	wrong := flag.Bool("wrong", false, "name the pictures that are not all right")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run ./models/score/cmd [-prompts FILE] [-wrong] DIR")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*prompts, flag.Arg(0), *wrong); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

func run(file, dir string, wrong bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	prompts, err := score.ReadPrompts(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var table score.Table
	for _, p := range prompts {
		result, err := check(filepath.Join(dir, p.ID+".png"), p.Scene)
		if err != nil {
			return err
		}
		table.Add(p, result)
		if wrong && !result.All() {
			fmt.Printf("%s: %q: %+v\n", p.ID, p.Prompt, result)
		}
	}
	return table.Write(os.Stdout)
}

func check(path string, scene score.Scene) (score.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return score.Result{}, err
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return score.Result{}, fmt.Errorf("%s: %w", path, err)
	}
	return score.Check(img, scene), nil
}
