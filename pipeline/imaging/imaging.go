// Package imaging reads and makes picture files, and changes pixels between the
// two. What it writes is PNG and JPEG with all that made the picture inside, and
// NPY for latents: bytes that depend on the pixels and on what is said about
// them, and on nothing else: no time, no host, no path. What it reads is PNG,
// JPEG, WebP and GIF, from anybody. Pixels are resized, blurred and laid over
// each other as Pillow does it under diffusers, to the last bit.
package imaging

import (
	"bytes"
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

// PNG encodes a picture of three channels. Its text chunks hold
// A1111's infotext under `parameters`, the job and what it was made with as
// JSON under `darkroom`, and IPTC's digital source type as XMP.
func PNG(picture *Bitmap, about About) ([]byte, error) {
	description, err := describe(about)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	// The default level takes five times as long for files a sixth smaller, and
	// 3 % of the time that a small picture takes to render.
	encoder := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &buffers}
	if err := encoder.Encode(&b, opaque(picture)); err != nil {
		return nil, fmt.Errorf("encoding a PNG: %w", err)
	}
	return insertChunks(b.Bytes(), []text{
		{"parameters", infotext(about, picture), false},
		{descriptionKey, description, true},
		{xmpKey, xmp(about), true},
	}), nil
}

// JPEG encodes a picture of three channels at quality 95. Its comments are the
// infotext, and the JSON that is under `darkroom` in a PNG; it has the same XMP.
func JPEG(picture *Bitmap, about About) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, opaque(picture), &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encoding a JPEG: %w", err)
	}
	description, err := describe(about)
	if err != nil {
		return nil, err
	}
	return insertSegments(b.Bytes(), xmp(about), infotext(about, picture), description), nil
}

// buffers keeps the encoder's, most of a megabyte each, from picture to picture.
var buffers pool

type pool struct{ sync.Pool }

func (p *pool) Get() *png.EncoderBuffer {
	b, _ := p.Pool.Get().(*png.EncoderBuffer)
	return b
}

func (p *pool) Put(b *png.EncoderBuffer) { p.Pool.Put(b) }

func opaque(b *Bitmap) image.Image {
	picture := image.NewNRGBA(image.Rect(0, 0, b.Width, b.Height))
	for i := range b.Width * b.Height {
		copy(picture.Pix[4*i:], b.Pix[3*i:3*i+3])
		picture.Pix[4*i+3] = 255
	}
	return picture
}
