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

	mu   sync.Mutex
	idle []*unetCall // the last used at the end
}

// maxIdle bounds the memory of calls that wait for rows of their shape.
const maxIdle = 16

func loadUNet(runtime Runtime, f *folder) (*unet, error) {
	u := &unet{channels: f.unet.InChannels}
	graph, err := openGraph(runtime, f, "unet/model.onnx", func(m *onnx.Model) (output Port, variant string, err error) {
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

// Predict implements [Rows]: all rows in one call, or one call for each
// timestep where the graph takes only one.
func (u *unet) Predict(ctx context.Context, rows []Row) error {
	for len(rows) > 0 {
		n := len(rows)
		if u.shared {
			if i := slices.IndexFunc(rows, func(r Row) bool { return r.Timestep != rows[0].Timestep }); i > 0 {
				n = i
			}
		}
		if err := u.predict(ctx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (u *unet) predict(ctx context.Context, rows []Row) error {
	first := rows[0]
	c, err := u.take(unetShape{len(rows), first.Height, first.Width, first.Tokens, len(first.Text) / first.Tokens, len(first.Guidance)})
	if err != nil {
		return err
	}
	defer u.put(c)
	for i, row := range rows {
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
	for i, row := range rows {
		copy(row.Out, c.out[i*len(row.Out):])
	}
	return nil
}

func copyRow(dst []float32, i int, row []float32) { copy(dst[i*len(row):], row) }

// unetShape tells calls apart.
type unetShape struct{ rows, height, width, tokens, text, guidance int }

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
