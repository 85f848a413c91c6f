package pipeline

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
)

// settle finds out how many rows a call must have for the bits of each to be
// the same in all calls. ONNX Runtime on a CPU, at its highest level, hasn't
// been seen to make a difference; other kernels multiply one row and many in
// another order. So a row is compared alone, with one other, and in the
// largest call: where they differ, calls are padded.
//
// The latents are small, so that this takes less than a step of a picture: what
// has a line per row, as the timestep's embedding, has it whatever their size.
func (u *unet) settle(f *folder, d Device) error {
	u.least, u.most = 1, d.Rows
	sample, _ := u.graph.input(sampleInput)
	if n := int(sample.Dims[0]); n > 0 { // it was exported for one number of rows
		u.least, u.most = n, n
	}
	if d.Fixed {
		u.least = u.most
	}
	if u.least == u.most {
		return nil
	}
	tasks := u.strangers(f)
	results := map[int][]float32{}
	for _, n := range []int{1, 2, u.most} {
		if u.gives != nil {
			forget(tasks[0].row.Residuals)
		}
		if _, err := u.predict(context.Background(), append(slices.Clone(tasks[1:n]), tasks[0])); err != nil {
			return err
		}
		results[n] = slices.Concat(tasks[0].row.Out, slices.Concat(tasks[0].row.Residuals...))
	}
	least := 1
	switch {
	case !sameBits(results[2], results[u.most]):
		least = u.most
	case !sameBits(results[1], results[2]):
		least = 2
	}
	if u.varies = d.Loose && least > 1; !u.varies {
		u.least = least
	}
	return nil
}

// anyRows is what the level says, behind a comma, where a picture's bits depend
// on what shared its calls.
const anyRows = "any rows"

// madeWith adds that to what the device's pictures are made with, for a model
// of which it is true.
func (u *unet) madeWith(made job.MadeWith) job.MadeWith {
	if u.varies && !strings.HasSuffix(made.Level, anyRows) {
		made.Level += ", " + anyRows
	}
	return made
}

// strangers are rows of noise, as many as the largest call has, which have
// nothing in common.
func (u *unet) strangers(f *folder) []task {
	size := func(input string, dim, usual int) int {
		port, _ := u.graph.input(input)
		if n := port.Dims[dim]; n > 0 {
			return int(n)
		}
		return usual
	}
	side := 1 << len(f.unet.Widths) // two at the network's narrowest
	height, width := size(sampleInput, 2, side), size(sampleInput, 3, side)
	tokens := size(textInput, 1, 77)
	generator := noise.New(0)
	tasks := make([]task, u.most)
	for i := range tasks {
		row := &Row{
			Sample: make([]float32, u.channels*height*width), Beside: make([]float32, u.beside*height*width), Height: height, Width: width,
			Timestep: float32(900 / (i + 1)), Noise: float32(f.noiseLevels / (i + 1)),
			Text: make([]float32, tokens*size(textInput, 2, f.textWidth())), Tokens: tokens,
			Out: make([]float32, u.channels*height*width),
		}
		sizes := f.vectorSizes()
		row.Guidance, row.Pooled, row.TimeIDs = make([]float32, sizes[0]), make([]float32, sizes[1]), make([]float32, sizes[2])
		for _, values := range [][]float32{row.Sample, row.Beside, row.Text, row.Guidance, row.Pooled, row.TimeIDs} {
			generator.Normal(values)
		}
		u.leadAtRandom(row, generator)
		tasks[i].row = row
	}
	return tasks
}

// sameBits is stricter than ==: it tells zeros of two signs apart, and finds a
// NaN equal to itself.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
