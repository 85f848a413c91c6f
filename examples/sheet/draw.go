package main

import (
	"fmt"
	"image"
	"image/color"
	"strings"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Pixels.
const (
	columns = 8
	side    = 160 // of a cell's picture, at most
	gap     = 14
	heading = 40
	line    = 15 // of a caption
	lines   = 3  // of a caption, at most
)

var (
	paper = color.Gray{0xf7}
	ink   = color.Gray{0x28}
)

func draw(batches []batch) (image.Image, error) {
	bold, err := face(gobold.TTF, 20)
	if err != nil {
		return nil, err
	}
	regular, err := face(goregular.TTF, 12)
	if err != nil {
		return nil, err
	}
	const cellHeight = side + lines*line + gap
	height := gap
	for _, b := range batches {
		height += heading + (len(b.cells)+columns-1)/columns*cellHeight
	}
	sheet := image.NewRGBA(image.Rect(0, 0, gap+columns*(side+gap), height))
	xdraw.Draw(sheet, sheet.Bounds(), image.NewUniform(paper), image.Point{}, xdraw.Src)

	y := gap
	for _, b := range batches {
		write(sheet, bold, b.name, gap, y+24)
		y += heading
		for i, c := range b.cells {
			at := image.Pt(gap+i%columns*(side+gap), y+i/columns*cellHeight)
			if c.picture != nil {
				xdraw.CatmullRom.Scale(sheet, fit(c.picture.Bounds()).Add(at), c.picture, c.picture.Bounds(), xdraw.Src, nil)
			}
			for n, text := range wrap(regular, c.caption) {
				write(sheet, regular, text, at.X, at.Y+side+(n+1)*line)
			}
		}
		y += (len(b.cells) + columns - 1) / columns * cellHeight
	}
	return sheet, nil
}

func face(ttf []byte, size float64) (font.Face, error) {
	f, err := opentype.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("reading a font: %w", err)
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72})
}

// fit is the largest rectangle of a picture's proportions in a cell, at its
// bottom so that captions follow it.
func fit(picture image.Rectangle) image.Rectangle {
	w, h := picture.Dx(), picture.Dy()
	if w > h {
		w, h = side, max(1, side*h/w)
	} else {
		w, h = max(1, side*w/h), side
	}
	return image.Rect(0, side-h, w, side)
}

// wrap breaks a caption at its blanks into as many lines as there is room for.
func wrap(f font.Face, caption string) (rows []string) {
	row := ""
	for word := range strings.FieldsSeq(caption) {
		longer := strings.TrimSpace(row + " " + word)
		if row != "" && font.MeasureString(f, longer) > fixed.I(side) {
			rows, longer = append(rows, row), word
		}
		row = longer
	}
	if rows = append(rows, row); len(rows) > lines {
		rows = rows[:lines]
		rows[lines-1] += " …"
	}
	return rows
}

func write(sheet *image.RGBA, f font.Face, text string, x, y int) {
	(&font.Drawer{Dst: sheet, Src: image.NewUniform(ink), Face: f, Dot: fixed.P(x, y)}).DrawString(text)
}
