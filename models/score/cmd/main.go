// Command cmd scores a folder of pictures against the prompts they were drawn
// for: DIR/ID.png for each line of the prompts file.
//
//	go run ./models/score/cmd [-prompts FILE] [-measure NAME] [-wrong] DIR
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/models/score"
)

func main() {
	names := strings.Join(slices.Sorted(maps.Keys(measures)), ", ")
	prompts := flag.String("prompts", "models/score/testdata/heldout.jsonl", "the prompts, one JSON object a line")
	name := flag.String("measure", "scene", "what to measure: scene (whether pictures show their prompt), "+names)
	wrong := flag.Bool("wrong", false, "name the pictures that don't show their prompt")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run ./models/score/cmd [-prompts FILE] [-measure NAME] [-wrong] DIR")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || *name != "scene" && measures[*name].of == nil {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*prompts, flag.Arg(0), *name, *wrong); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

func run(file, dir, name string, wrong bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	prompts, err := score.ReadPrompts(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if name == "scene" {
		return table(prompts, dir, wrong)
	}
	return measures[name].print(prompts, dir)
}

func table(prompts []score.Prompt, dir string, wrong bool) error {
	var table score.Table
	for _, p := range prompts {
		img, err := open(dir, p, "")
		if err != nil {
			return err
		}
		result := score.Check(img, p.Scene)
		table.Add(p, result)
		if wrong && !result.All() {
			fmt.Printf("%s: %q: %+v\n", p.ID, p.Prompt, result)
		}
	}
	return table.Write(os.Stdout)
}
