package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/tiling"
)

// enlargement is one picture's way through an upscaler: in as many passes as it
// takes to be large enough, and then reduced to the size that is wanted.
type enlargement struct {
	*upscaler
	tiles tiles
	step  func(done, all int) // after each tile
	done  int
	all   int
}

// enlarge returns the picture at another size, and what its bits depend on.
func (u *upscaler) enlarge(ctx context.Context, picture *imaging.Bitmap, width, height int, made job.MadeWith, step func(done, all int)) (*imaging.Bitmap, job.MadeWith, error) {
	e := &enlargement{upscaler: u, tiles: u.first, step: step}
	large, err := e.passes(ctx, picture, width, height)
	for errors.Is(err, ErrOutOfMemory) {
		smaller, ok := e.tiles.smaller()
		if !ok {
			break
		}
		e.tiles, e.done = smaller, 0
		large, err = e.passes(ctx, picture, width, height)
	}
	if e.tiles != u.usual {
		made.Level += fmt.Sprintf(", tiles of %v", e.tiles)
	}
	return large, made, err
}

func (e *enlargement) passes(ctx context.Context, picture *imaging.Bitmap, width, height int) (*imaging.Bitmap, error) {
	var grids []tiling.Grid
	e.all = 0
	for w, h := picture.Width, picture.Height; grids == nil || w < width || h < height; w, h = w*e.scale, h*e.scale {
		grid := tiling.New(w, h, e.tiles.across, e.tiles.down)
		grids = append(grids, grid)
		e.all += grid.Len()
	}
	for _, grid := range grids[:len(grids)-1] {
		large := &imaging.Bitmap{Width: picture.Width * e.scale, Height: picture.Height * e.scale, Channels: 3}
		large.Pix = make([]uint8, 0, 3*large.Width*large.Height)
		if err := e.pass(ctx, grid, picture, func(row []uint8) { large.Pix = append(large.Pix, row...) }); err != nil {
			return nil, err
		}
		picture = large
	}
	reduction := imaging.NewReduction(picture.Width*e.scale, picture.Height*e.scale, width, height)
	err := e.pass(ctx, grids[len(grids)-1], picture, reduction.Add)
	return reduction.Picture(), err
}

// pass enlarges a picture once. Its tiles are calls of their own: as many as
// there are lanes are under way, and one more waits, while those that are done
// are joined in their order.
func (e *enlargement) pass(ctx context.Context, grid tiling.Grid, picture *imaging.Bitmap, emit func(row []uint8)) error {
	ctx, cancel := context.WithCancel(ctx)
	calls := make([]tileCall, min(e.lanes.device.Lanes+1, grid.Len()))
	defer func() {
		cancel()
		for i := range calls {
			calls[i].end()
		}
	}()
	stitcher := tiling.NewStitcher(grid, e.scale, emit)
	for i := range grid.Len() + len(calls) {
		c := &calls[i%len(calls)]
		if i >= len(calls) {
			tile, err := c.result()
			if err != nil {
				return err
			}
			stitcher.Add(tile)
			e.done++
			e.step(e.done, e.all)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if i < grid.Len() {
			if err := c.start(ctx, e.upscaler, grid.Cut(picture, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tileCall is a call with a tile in it, one after the other.
type tileCall struct {
	upscaler *upscaler
	call     Call
	in, out  []float32
	tile     *imaging.Bitmap
	done     chan error // nil while no tile is under way
}

// start begins to enlarge a tile. All tiles of a call have one size.
func (c *tileCall) start(ctx context.Context, u *upscaler, tile *imaging.Bitmap) (err error) {
	if c.call == nil {
		c.upscaler = u
		pixels := u.channels() * tile.Width * tile.Height
		c.in, c.out = make([]float32, pixels), make([]float32, pixels*u.scale*u.scale)
		c.call, err = u.graph.Bind(
			[]Tensor{u.input(u.graph, tile.Height, tile.Width, c.in)},
			[]Tensor{{Name: u.graph.outputs[0].Name, Shape: []int64{1, int64(u.channels()), int64(u.scale * tile.Height), int64(u.scale * tile.Width)}, Floats: c.out}})
		if err != nil {
			return err
		}
	}
	c.tile = tile
	size := tile.Width * tile.Height
	for i := range size {
		pixel := tile.Pix[3*i : 3*i+3]
		if u.gray {
			c.in[i] = brightness(pixel)
			continue
		}
		for channel, v := range pixel {
			c.in[channel*size+i] = float32(v) / 255
		}
	}
	done := make(chan error, 1)
	c.done = done
	go func() { done <- u.lanes.alone(ctx, c.call) }()
	return nil
}

// result waits for the tile under way, enlarged.
func (c *tileCall) result() (*imaging.Bitmap, error) {
	err := <-c.done
	c.done = nil
	if err != nil {
		return nil, err
	}
	if !finite(c.out) {
		return nil, job.Bad(errors.New("the upscaler's picture holds values that are not numbers: in half precision it may have overflowed"))
	}
	u := c.upscaler
	if u.gray {
		return brighten(c.tile.Bicubic(c.tile.Width*u.scale, c.tile.Height*u.scale), c.out), nil
	}
	large := imaging.NewBitmap(c.tile.Width*u.scale, c.tile.Height*u.scale, colors)
	size := len(c.out) / colors
	for channel := range colors {
		for i, v := range c.out[channel*size : (channel+1)*size] {
			large.Pix[colors*i+channel] = level(v)
		}
	}
	return large, nil
}

// end frees the call, after its tile.
func (c *tileCall) end() {
	if c.done != nil {
		<-c.done
	}
	if c.call != nil {
		c.call.Close()
	}
}

// level is a value of 0 .. 1 in 8 bits.
func level(v float32) uint8 { return uint8(math.RoundToEven(float64(min(max(v, 0), 1) * 255))) }

// brightness is a pixel's, of 0 .. 1, by ITU-R BT.601.
func brightness(pixel []uint8) float32 {
	return (float32(.299*float32(pixel[0])) + float32(.587*float32(pixel[1])) + float32(.114*float32(pixel[2]))) / 255
}

// brighten gives each pixel of a picture another brightness. Its colors stay, as
// bicubic interpolation has made them: what those do who use such networks.
func brighten(picture *imaging.Bitmap, wanted []float32) *imaging.Bitmap {
	for i, v := range wanted {
		pixel := picture.Pix[3*i : 3*i+3]
		more := min(max(v, 0), 1) - brightness(pixel)
		for c, old := range pixel {
			pixel[c] = level(float32(old)/255 + more)
		}
	}
	return picture
}
