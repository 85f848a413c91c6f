package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/darkroom/darkroom/pipeline/onnx"
)

// The inputs of a UNet2DConditionModel.
const (
	sampleInput   = "sample"
	timestepInput = "timestep"
	textInput     = "encoder_hidden_states"
	guidanceInput = "timestep_cond"
)

// unet is the denoising network of a model. It is safe for concurrent use.
type unet struct {
	graph    *loadedGraph
	channels int
	shared   bool // one timestep for all rows of a call
	least    int  // rows of a call: where there are fewer, it is padded
	most     int  // rows of a call

	mu   sync.Mutex
	idle []*unetCall // the last used at the end
}

// maxIdle bounds the memory of calls that wait for rows of their shape.
const maxIdle = 16

func loadUNet(l *lanes, f *folder) (*unet, error) {
	u := &unet{channels: f.unet.InChannels}
	graph, err := openGraph(l.runtime, f, "unet/model.onnx", func(m *onnx.Model) (output Port, variant string, err error) {
		if m.TimestepPerRow(timestepInput) {
			variant = "-rows"
		}
		if err := u.check(m.Inputs(), f.model.Distilled); err != nil {
			return output, "", err
		}
		output, err = pickOutput(m.Outputs(), "out_sample")
		if err == nil {
			err = checkRank(output, 4)
		}
		return output, variant, err
	})
	if err != nil {
		return nil, err
	}
	u.graph = graph
	if err := u.settle(f, l.device); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// check compares a graph's inputs with what there is to feed it.
func (u *unet) check(inputs []Port, distilled bool) error {
	known := []Port{{Name: sampleInput, Dims: make([]int64, 4)}, {Name: textInput, Dims: make([]int64, 3)}}
	if distilled {
		known = append(known, Port{Name: guidanceInput, Dims: make([]int64, 2)})
	}
	for _, want := range known {
		port, ok := findPort(inputs, want.Name)
		if !ok {
			return fmt.Errorf("it has no input %q, only %s", want.Name, portNames(inputs))
		}
		if err := checkRank(port, len(want.Dims)); err != nil {
			return err
		}
	}
	timestep, ok := findPort(inputs, timestepInput)
	if !ok || len(timestep.Dims) > 1 {
		return fmt.Errorf("it has no input %q that is a scalar or has one dimension, only %s", timestepInput, portNames(inputs))
	}
	u.shared = len(timestep.Dims) == 0 || timestep.Dims[0] == 1
	for _, port := range inputs {
		if _, ok := findPort(known, port.Name); !ok && port.Name != timestepInput {
			return fmt.Errorf("it wants the input %q, which text to image has nothing for", port.Name)
		}
	}
	return nil
}

// predict fills the rows' Out: in one call, or in several where the graph takes
// fewer rows, or one timestep for all of them.
func (u *unet) predict(ctx context.Context, tasks []task) error {
	for len(tasks) > 0 {
		n := min(len(tasks), u.most)
		if u.shared {
			if i := slices.IndexFunc(tasks[:n], func(t task) bool { return t.row.Timestep != tasks[0].row.Timestep }); i > 0 {
				n = i
			}
		}
		if err := u.run(ctx, tasks[:n]); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	return nil
}

func (u *unet) run(ctx context.Context, tasks []task) error {
	shape := shapeOf(*tasks[0].row)
	shape.rows = max(len(tasks), u.least)
	c, err := u.take(shape)
	if err != nil {
		return err
	}
	defer u.put(c)
	for i := range shape.rows {
		row := tasks[min(i, len(tasks)-1)].row // the last is its own padding
		copyRow(c.sample, i, row.Sample)
		copyRow(c.text, i, row.Text)
		copyRow(c.guidance, i, row.Guidance)
		if i < len(c.timestep) {
			c.timestep[i] = row.Timestep
		}
	}
	if err := c.call.Run(ctx); err != nil {
		return err
	}
	for i, t := range tasks {
		copy(t.row.Out, c.out[i*len(t.row.Out):])
	}
	return nil
}

func copyRow(dst []float32, i int, row []float32) { copy(dst[i*len(row):], row) }

// unetShape tells calls apart.
type unetShape struct{ rows, height, width, tokens, text, guidance int }

// shapeOf is the shape of calls with such rows, but for their number.
func shapeOf(row Row) unetShape {
	return unetShape{0, row.Height, row.Width, row.Tokens, len(row.Text) / row.Tokens, len(row.Guidance)}
}

// unetCall is a bound call and its memory.
type unetCall struct {
	shape    unetShape
	call     Call
	sample   []float32
	timestep []float32
	text     []float32
	guidance []float32
	out      []float32
}

// take returns a call of the shape that nobody uses, or a new one.
func (u *unet) take(shape unetShape) (*unetCall, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := len(u.idle) - 1; i >= 0; i-- {
		if c := u.idle[i]; c.shape == shape {
			u.idle = slices.Delete(u.idle, i, i+1)
			return c, nil
		}
	}
	return u.bind(shape)
}

func (u *unet) put(c *unetCall) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.idle) == maxIdle {
		u.idle[0].call.Close()
		u.idle = slices.Delete(u.idle, 0, 1)
	}
	u.idle = append(u.idle, c)
}

func (u *unet) bind(s unetShape) (*unetCall, error) {
	sample := []int64{int64(s.rows), int64(u.channels), int64(s.height), int64(s.width)}
	timestep := []int64{int64(s.rows)}
	if port, _ := u.graph.input(timestepInput); u.shared {
		timestep = port.Dims
	}
	text := []int64{int64(s.rows), int64(s.tokens), int64(s.text)}
	guidance := []int64{int64(s.rows), int64(s.guidance)}
	c := &unetCall{
		shape:    s,
		sample:   make([]float32, size(sample)),
		timestep: make([]float32, size(timestep)),
		text:     make([]float32, size(text)),
		guidance: make([]float32, size(guidance)),
		out:      make([]float32, size(sample)),
	}
	inputs := []Tensor{
		{Name: sampleInput, Shape: sample, Floats: c.sample},
		{Name: timestepInput, Shape: timestep, Floats: c.timestep},
		{Name: textInput, Shape: text, Floats: c.text},
	}
	if s.guidance > 0 {
		inputs = append(inputs, Tensor{Name: guidanceInput, Shape: guidance, Floats: c.guidance})
	}
	var err error
	c.call, err = u.graph.Bind(inputs, []Tensor{{Name: u.graph.output.Name, Shape: sample, Floats: c.out}})
	return c, err
}

func (u *unet) close() {
	for _, c := range u.idle {
		c.call.Close()
	}
	u.graph.Close()
}

// size is how many numbers a shape holds.
func size(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
