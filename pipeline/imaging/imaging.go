// Package imaging makes picture files: PNG and JPEG with all that made the
// picture inside, and NPY for latents. The bytes depend on the pixels and on
// what is said about them, and on nothing else: no time, no host, no path.
package imaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"sync"

	"github.com/darkroom/darkroom/pipeline/job"
)

// About is what a file says about its picture.
type About struct {
	Job      job.Spec // resolved
	Model    string   // name
	Digest   string   // of the model
	MadeWith job.MadeWith
}

// quality is that of JPEGs: one at which artefacts don't show.
const quality = 95

// PNG encodes RGB pixels, three bytes each, row by row. Its text chunks hold
// A1111's infotext under `parameters`, the job and what it was made with as
// JSON under `darkroom`, and IPTC's digital source type as XMP.
func PNG(pixels []uint8, width, height int, about About) ([]byte, error) {
	description, err := describe(about)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	// The default level takes five times as long for files a sixth smaller, and
	// 3 % of the time that a small picture takes to render.
	encoder := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &buffers}
	if err := encoder.Encode(&b, opaque(pixels, width, height)); err != nil {
		return nil, fmt.Errorf("encoding a PNG: %w", err)
	}
	return insertChunks(b.Bytes(), []text{
		{"parameters", infotext(about), false},
		{"darkroom", description, true},
		{xmpKey, xmp(), true},
	}), nil
}

// JPEG encodes RGB pixels, three bytes each, row by row, at quality 95, with
// the infotext as its comment and XMP.
func JPEG(pixels []uint8, width, height int, about About) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, opaque(pixels, width, height), &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encoding a JPEG: %w", err)
	}
	description, err := describe(about)
	if err != nil {
		return nil, err
	}
	return insertSegments(b.Bytes(), infotext(about), description), nil
}

// buffers keeps the encoder's, most of a megabyte each, from picture to picture.
var buffers pool

type pool struct{ sync.Pool }

func (p *pool) Get() *png.EncoderBuffer {
	b, _ := p.Pool.Get().(*png.EncoderBuffer)
	return b
}

func (p *pool) Put(b *png.EncoderBuffer) { p.Pool.Put(b) }

// describe is the JSON under `darkroom`.
func describe(about About) (string, error) {
	data, err := json.Marshal(struct {
		Job      json.RawMessage `json:"job"`
		Model    string          `json:"model"`
		MadeWith job.MadeWith    `json:"made_with"`
	}{about.Job.Canonical(), about.Model, about.MadeWith})
	if err != nil {
		return "", fmt.Errorf("describing the picture: %w", err)
	}
	return string(data), nil
}

func opaque(pixels []uint8, width, height int) image.Image {
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(picture.Pix[4*i:], pixels[3*i:3*i+3])
		picture.Pix[4*i+3] = 255
	}
	return picture
}
