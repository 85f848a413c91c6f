// Sheet makes a contact sheet of a folder that darkroom rendered into, so that a
// person sees all of it at a glance:
//
//	go run ./examples/sheet OUT SHEET.png
//
// Each batch has a heading, and each picture stands in a cell over the beginning
// of its prompt; a dead letter's cell says why there is no picture.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sheet OUT SHEET.png")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sheet:", err)
		os.Exit(1)
	}
}

func run(out, file string) error {
	batches, err := read(out)
	if err != nil {
		return err
	}
	if len(batches) == 0 {
		return fmt.Errorf("%s holds no batch's records", out)
	}
	sheet, err := draw(batches)
	if err != nil {
		return err
	}
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(to, sheet), to.Close())
}

// batch is a heading and what stands below it.
type batch struct {
	name  string
	cells []cell
}

// cell is a line's picture, or why there is none.
type cell struct {
	picture image.Image
	caption string
}

// record is what a sheet takes of a line's record.
type record struct {
	Status string `json:"status"`
	ID     string `json:"id"`
	File   string `json:"file"`
	Error  string `json:"error"`
	Job    struct {
		Prompt string `json:"prompt"`
	} `json:"job"`
}

// read finds the batches of a folder, by name, and their lines, in order.
func read(out string) ([]batch, error) {
	marks, err := filepath.Glob(filepath.Join(out, "*", "batch.json"))
	if err != nil {
		return nil, err
	}
	var batches []batch
	for _, mark := range marks {
		folder := filepath.Dir(mark)
		b := batch{name: filepath.Base(folder)}
		var records []string
		for _, pattern := range []string{"[0-9]*-*.json", "*/[0-9]*-*.json"} { // large batches have a folder a shard
			found, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return nil, err
			}
			records = append(records, found...)
		}
		slices.Sort(records)
		for _, name := range records {
			c, err := open(name)
			if err != nil {
				return nil, err
			}
			b.cells = append(b.cells, c)
		}
		if b.cells != nil {
			batches = append(batches, b)
		}
	}
	return batches, nil
}

func open(name string) (c cell, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return c, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	c.caption = r.Job.Prompt
	if r.ID != "" {
		c.caption = strings.TrimSuffix(r.ID+": "+c.caption, ": ")
	}
	if r.Status != "done" || filepath.Ext(r.File) == ".npy" {
		c.caption += " " + r.Error
		return c, nil
	}
	file, err := os.Open(filepath.Join(filepath.Dir(name), filepath.Base(r.File)))
	if err != nil {
		return c, err
	}
	defer file.Close()
	if c.picture, _, err = image.Decode(file); err != nil {
		return c, fmt.Errorf("%s: %w", file.Name(), err)
	}
	return c, nil
}
