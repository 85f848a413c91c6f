package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"sync"

	"golang.org/x/image/webp"

	"github.com/darkroom/darkroom/pipeline/job"
)

const (
	// MaxPixels is how many pixels a picture may have, MaxSide how long its
	// sides may be and MaxBytes how large its file: a few bytes can claim to be
	// gigabytes of pixels.
	MaxPixels = job.MaxPixels
	MaxSide   = 1 << 15
	MaxBytes  = 256 << 20
)

// large is held while a picture of more than largePixels is decoded, which takes
// up to a gigabyte: one at a time.
var large sync.Mutex

const largePixels = 4 << 20

// File is a picture's file, of which only the beginning has been read.
type File struct {
	Ext           string // png, jpg, webp or gif
	Width, Height int    // pixels, as a person sees the picture

	data        []byte
	format      format
	orientation orientation
}

// format is a kind of picture file.
type format struct {
	ext    string
	magic  string // how files begin; ? stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var formats = []format{
	{"png", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"jpg", "\xff\xd8", jpeg.DecodeConfig, jpeg.Decode},
	{"webp", "RIFF????WEBPVP8", webp.DecodeConfig, webp.Decode},
	{"gif", "GIF8?a", gif.DecodeConfig, gif.Decode},
}

// Open reads the beginning of a PNG, JPEG, WebP or GIF file, and refuses what
// is none, and what is too large to be decoded. Errors say what is wrong with
// the picture, in a few words.
func Open(data []byte) (*File, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("a file of %d MiB, want at most %d", len(data)>>20, MaxBytes>>20)
	}
	f := &File{data: data}
	for _, known := range formats {
		if begins(data, known.magic) {
			f.format = known
		}
	}
	if f.Ext = f.format.ext; f.Ext == "" {
		return nil, errors.New("no picture, want a PNG, JPEG, WebP or GIF file")
	}
	config, err := f.format.config(bytes.NewReader(data))
	if err != nil {
		return nil, f.broken(err)
	}
	f.Width, f.Height = config.Width, config.Height
	switch {
	case f.Width < 1 || f.Height < 1:
		return nil, fmt.Errorf("a picture of %dx%d pixels", f.Width, f.Height)
	case f.Width > MaxSide || f.Height > MaxSide || f.Width*f.Height > MaxPixels:
		return nil, fmt.Errorf("a picture of %dx%d pixels, want at most %d million and sides up to %d", f.Width, f.Height, MaxPixels>>20, MaxSide)
	}
	f.orientation = readOrientation(data, f.Ext)
	if f.orientation.turned() {
		f.Width, f.Height = f.Height, f.Width
	}
	return f, nil
}

func begins(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// broken explains a decoder's error.
func (f *File) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("a %s file that ends too early", f.Ext)
	}
	return fmt.Errorf("a damaged %s file (%w)", f.Ext, err)
}

// Check decodes the whole file, to find out whether it is damaged.
func (f *File) Check() error {
	_, err := f.bitmap(func(*image.NRGBA) *Bitmap { return nil })
	return err
}

// RGB decodes the picture, turned as its EXIF orientation says. Where it is
// transparent, white shows through; of a GIF it is the first frame.
func (f *File) RGB() (*Bitmap, error) {
	return f.bitmap(func(picture *image.NRGBA) *Bitmap { return f.orientation.turn(rgb(picture)) })
}

// Mask decodes the picture as a mask of one channel: 255 where it is to be
// painted anew, which is where it is transparent, or in a picture without any
// transparency where it is white.
func (f *File) Mask() (*Bitmap, error) {
	return f.bitmap(func(picture *image.NRGBA) *Bitmap { return f.orientation.turn(mask(picture)) })
}

// bitmap decodes the picture and converts it.
func (f *File) bitmap(convert func(*image.NRGBA) *Bitmap) (*Bitmap, error) {
	if f.Width*f.Height > largePixels {
		large.Lock()
		defer large.Unlock()
	}
	picture, err := f.pixels()
	if err != nil {
		return nil, err
	}
	return convert(picture), nil
}

func (f *File) pixels() (*image.NRGBA, error) {
	picture, err := f.format.decode(bytes.NewReader(f.data))
	if err != nil {
		return nil, f.broken(err)
	}
	width, height := f.Width, f.Height
	if f.orientation.turned() {
		width, height = height, width
	}
	if screen := image.Rect(0, 0, width, height); picture.Bounds() != screen {
		if !picture.Bounds().In(screen) {
			return nil, f.broken(errors.New("its pixels have another size than it says"))
		}
		// A GIF's frame may be a part of its screen, of which the rest is empty.
		whole := image.NewNRGBA(screen)
		frame := straight(picture)
		for y := range frame.Rect.Dy() {
			at := whole.PixOffset(picture.Bounds().Min.X, picture.Bounds().Min.Y+y)
			copy(whole.Pix[at:], frame.Pix[y*frame.Stride:][:frame.Stride])
		}
		return whole, nil
	}
	return straight(picture), nil
}
