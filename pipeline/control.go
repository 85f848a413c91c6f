package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/noise"
)

// The inputs of a UNet that holds ControlNets, as diffusers' own script exports
// it: [ControlNets, rows, 3, height, width] and [ControlNets, 1].
const (
	picturesInput = "controlnet_conds"
	scalesInput   = "conditioning_scales"
)

// controlCall is the part of a call's memory that has to do with ControlNets.
type controlCall struct {
	residuals [][]float32 // one for each residual: of all rows
	pictures  []float32
	scales    []float32
	numbers   int // in all of these
}

// checkControl looks at the inputs of a graph that other networks haven't.
func (u *unet) checkControl(others []Port, f *folder) (err error) {
	var rest []Port
	for _, port := range others {
		switch {
		case port.Name == pictureInput && u.gives != nil:
			err = checkRank(port, 4)
		case port.Name == scaleInput && u.gives != nil:
		case port.Name == picturesInput:
			if err = checkRank(port, 5); err == nil {
				u.fused = int(port.Dims[0])
			}
			if err == nil && u.fused < 1 {
				err = fmt.Errorf("its input %q doesn't say for how many ControlNets it is", port.Name)
			}
		case port.Name == scalesInput:
			if len(port.Dims) == 0 {
				err = fmt.Errorf("its input %q is a scalar: want one number for each ControlNet", port.Name)
			}
		default:
			rest = append(rest, port)
		}
		if err != nil {
			return err
		}
	}
	if _, ok := findPort(others, pictureInput); u.gives != nil && !ok {
		return fmt.Errorf("it has no input %q for its picture", pictureInput)
	}
	if _, ok := findPort(others, scalesInput); ok != (u.fused > 0) {
		return fmt.Errorf("of the inputs %s and %s it has one only", picturesInput, scalesInput)
	}
	if len(rest) == 0 {
		return nil
	}
	if i := slices.IndexFunc(rest, func(p Port) bool { return !isResidual(p) }); i >= 0 || u.gives != nil {
		return fmt.Errorf("it wants the input %q, which text to image has nothing for", rest[max(i, 0)].Name)
	}
	u.led, err = named(f.unet.residuals(), rest)
	return err
}

// isResidual tells whether an input of a UNet is for what a ControlNet gives out:
// exporters call them down_block_0 or down_block_additional_residuals.0 and so on,
// and mid_block_additional_residual.
func isResidual(p Port) bool { return len(p.Dims) == 4 && strings.Contains(p.Name, "block") }

// bindControl makes room for what ControlNets give out, or for what is taken of
// them.
func (u *unet) bindControl(c *unetCall, inputs, outputs []Tensor) ([]Tensor, []Tensor) {
	s, rows := c.shape, int64(c.shape.rows)
	room := func(shape ...int64) []float32 {
		c.control.numbers += int(size(shape))
		return make([]float32, size(shape))
	}
	list, ports := u.led, &inputs
	if u.gives != nil {
		list, ports = u.gives, &outputs
	}
	for _, r := range list {
		shape := append([]int64{rows}, r.dims(s.height, s.width)...)
		c.control.residuals = append(c.control.residuals, room(shape...))
		*ports = append(*ports, Tensor{Name: r.name, Shape: shape, Floats: c.control.residuals[len(c.control.residuals)-1]})
	}
	height, width := int64(s.height*u.side), int64(s.width*u.side)
	if u.gives != nil {
		c.control.pictures = room(rows, colors, height, width)
		inputs = append(inputs, Tensor{Name: pictureInput, Shape: []int64{rows, colors, height, width}, Floats: c.control.pictures})
		if port, ok := u.graph.input(scaleInput); ok {
			ones := Tensor{Name: scaleInput, Shape: closed(port.Dims, 1)}
			for range size(ones.Shape) {
				ones.Floats = append(ones.Floats, 1)
			}
			inputs = append(inputs, ones)
		}
	}
	if n := int64(u.fused); n > 0 {
		c.control.pictures = room(n, rows, colors, height, width)
		port, _ := u.graph.input(scalesInput)
		shape := closed(port.Dims, 1)
		shape[0] = n
		c.control.scales = room(shape...)
		inputs = append(inputs,
			Tensor{Name: picturesInput, Shape: []int64{n, rows, colors, height, width}, Floats: c.control.pictures},
			Tensor{Name: scalesInput, Shape: shape, Floats: c.control.scales})
	}
	return inputs, outputs
}

// closed is a shape whose open dimensions have a size.
func closed(dims []int64, open int64) []int64 {
	shape := make([]int64, len(dims))
	for i, n := range dims {
		if shape[i] = n; n < 1 {
			shape[i] = open
		}
	}
	return shape
}

// lead puts what leads a row into its place in a call.
func (u *unet) lead(c *unetCall, i int, row *Row) {
	for k := range u.led {
		all := c.control.residuals[k]
		at := all[i*len(all)/c.shape.rows:][:len(all)/c.shape.rows]
		if row.Residuals == nil {
			clear(at)
		} else {
			copy(at, row.Residuals[k])
		}
	}
	nets := u.fused
	if u.gives != nil {
		nets = 1
	}
	for k := range nets {
		all := c.control.pictures
		part := len(all) / nets / c.shape.rows
		at := all[(k*c.shape.rows+i)*part:][:part]
		if k < len(row.Pictures) && row.Pictures[k] != nil {
			copy(at, row.Pictures[k])
		} else {
			clear(at)
		}
	}
	if u.fused > 0 {
		copy(c.control.scales, row.Scales)
	}
}

// deliver adds what a ControlNet gave out for a row to the row's residuals.
func (u *unet) deliver(c *unetCall, i int, row *Row) {
	for k, to := range row.Residuals {
		all := c.control.residuals[k]
		from := all[i*len(all)/c.shape.rows:][:len(all)/c.shape.rows]
		scale := row.Scales[k]
		share := len(to) / len(from) // of places that a pooled value stands for
		if share == 1 {
			for j, v := range from {
				to[j] += float32(scale * v)
			}
			continue
		}
		for j := range to {
			to[j] += float32(scale * from[j/share])
		}
	}
}

// leadAtRandom gives a row what may lead it, and a ControlNet's the room for what
// it gives out.
func (u *unet) leadAtRandom(row *Row, generator *noise.Generator) {
	if u.led != nil {
		row.Residuals = reserve(u.led, row.Height, row.Width)
		for _, r := range row.Residuals {
			generator.Normal(r)
		}
	}
	nets := u.fused
	if u.gives != nil {
		nets = 1
		row.Residuals = reserve(u.gives, row.Height, row.Width)
	}
	for range nets {
		picture := make([]float32, colors*row.Height*u.side*row.Width*u.side)
		generator.Normal(picture)
		row.Pictures = append(row.Pictures, picture)
	}
	for range max(u.fused, len(u.gives)) {
		row.Scales = append(row.Scales, 1)
	}
}
