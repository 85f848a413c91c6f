package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
)

// source is what an edit or an upscale starts from.
type source struct {
	picture *imaging.Bitmap // as large as what is painted
	mask    *imaging.Bitmap // of that size too, 255 where the picture is painted anew; nil: everywhere

	// Where only a part is painted: the whole, and where the part lies.
	whole, wholeMask *imaging.Bitmap
	region           image.Rectangle

	width, height int // of the finished picture, where it is not as large as what is painted; 0: it is
}

// openSource decodes an edit's picture and mask and brings them to the size
// that is painted.
func openSource(ctx context.Context, order job.Order) (*source, error) {
	spec := order.Spec
	picture, err := openInput(ctx, order, spec.Image, (*imaging.File).RGB)
	if err != nil {
		return nil, fmt.Errorf("the image: %w", err)
	}
	if !spec.Inpaints() {
		return &source{picture: picture.Resize(spec.Width, spec.Height)}, nil
	}
	mask := imaging.NewBitmap(picture.Width, picture.Height, 1)
	if spec.Mask != "" {
		if mask, err = openInput(ctx, order, spec.Mask, (*imaging.File).Mask); err != nil {
			return nil, fmt.Errorf("the mask: %w", err)
		}
	}
	if mask.Width != picture.Width || mask.Height != picture.Height {
		return nil, job.Bad(fmt.Errorf("the mask has %dx%d pixels, and the image %dx%d", mask.Width, mask.Height, picture.Width, picture.Height))
	}
	if e := spec.Extend; e != nil {
		if err := e.Check(picture.Width, picture.Height); err != nil {
			return nil, job.Bad(err)
		}
		picture, mask = picture.Extend(e.Left, e.Top, e.Right, e.Bottom), mask.Surround(255, e.Left, e.Top, e.Right, e.Bottom)
	}
	mask = mask.Blur(spec.MaskBlur)
	if spec.MaskPadding == nil {
		return &source{picture: picture.Resize(spec.Width, spec.Height), mask: mask.Resize(spec.Width, spec.Height)}, nil
	}
	if mask.Marked().Empty() {
		return nil, job.Bad(errors.New("the mask marks nothing: it is black, so that there is no part to be painted"))
	}
	region := mask.Region(spec.Width, spec.Height, *spec.MaskPadding)
	return &source{
		picture: picture.Crop(region).Fill(spec.Width, spec.Height), mask: mask.Crop(region).Fill(spec.Width, spec.Height),
		whole: picture, wholeMask: mask, region: region,
	}, nil
}

func openInput(ctx context.Context, order job.Order, name string, decode func(*imaging.File) (*imaging.Bitmap, error)) (*imaging.Bitmap, error) {
	if order.Input == nil {
		return nil, job.Bad(fmt.Errorf("%s came without its file", name))
	}
	data, err := order.Input(ctx, name)
	if err != nil {
		return nil, err
	}
	file, err := imaging.Open(data)
	if err != nil {
		return nil, job.Bad(err)
	}
	picture, err := decode(file)
	if err != nil {
		return nil, job.Bad(err)
	}
	return picture, nil
}

// finish puts what was painted where it belongs: into the whole picture, or
// between the pixels that are to stay.
func (s *source) finish(painted *imaging.Bitmap, spec job.Spec) *imaging.Bitmap {
	switch {
	case s.width > 0:
		return painted.Resize(s.width, s.height)
	case s.whole != nil:
		canvas := imaging.NewBitmap(s.whole.Width, s.whole.Height, 3)
		canvas.Paste(painted.Cover(s.region.Dx(), s.region.Dy()), s.region.Min.X, s.region.Min.Y)
		imaging.Overlay(canvas, s.whole, s.wholeMask)
		return canvas
	case spec.KeepUnmasked:
		imaging.Overlay(painted, s.picture, s.mask)
	}
	return painted
}

// binary is the mask as the samplers use it: 1 where the picture is painted
// anew, 0 elsewhere.
func (s *source) binary() []float32 {
	marks := make([]float32, len(s.mask.Pix))
	for i, m := range s.mask.Pix {
		if m >= 128 {
			marks[i] = 1
		}
	}
	return marks
}
