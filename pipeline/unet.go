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
	noiseInput    = "class_labels" // of an upscaler: how noisy the picture beside its sample is
)

// vectors are the inputs with one vector a row, which some networks take; see
// [folder.vectorSizes].
var vectors = [...]struct {
	input string
	of    func(*Row) []float32
}{
	{"timestep_cond", func(r *Row) []float32 { return r.Guidance }},
	{"text_embeds", func(r *Row) []float32 { return r.Pooled }},
	{"time_ids", func(r *Row) []float32 { return r.TimeIDs }},
}

// unet is the denoising network of a model. It is safe for concurrent use.
type unet struct {
	folder   *folder
	graph    *loadedGraph
	channels int        // of the latent
	beside   int        // channels that are put behind the latent's: those of an inpainting model, or of an upscaler
	noised   bool       // it is told how noisy these channels are
	shared   bool       // one timestep for all rows of a call
	least    int        // rows of a call: where there are fewer, it is padded
	most     int        // rows of a call
	varies   bool       // a row's bits depend on its company
	led      []residual // what it takes of ControlNets
	gives    []residual // what it gives out, being a ControlNet
	fused    int        // ControlNets that its graph holds
	side     int        // pixels of a picture that leads it, for each of a latent's values
	likes    flights[*unet, bool]

	mu   sync.Mutex
	idle []*unetCall // the last used at the end
}

// These bound the memory of calls that wait for rows of their shape: how many
// there are, and the numbers of what ControlNets give out and UNets take of it.
const (
	maxIdle        = 16
	maxIdleNumbers = 1 << 28
)

func loadUNet(l *lanes, f *folder) (*unet, error) {
	return loadUNetOf(l, f, func(*onnx.Model) error { return nil })
}

// loadUNetOf loads a UNet whose graph edit has changed.
func loadUNetOf(l *lanes, f *folder, edit func(*onnx.Model) error) (*unet, error) {
	u := &unet{folder: f, channels: f.vae.LatentChannels, beside: f.unet.InChannels - f.vae.LatentChannels, noised: f.upscales(), side: f.vae.factor()}
	graph, err := openGraph(l.runtime, f, "unet/model.onnx", func(m *onnx.Model) (outputs []Port, variant string, err error) {
		if m.TimestepPerRow(timestepInput) {
			variant = "-rows"
		}
		if err := edit(m); err != nil {
			return nil, "", err
		}
		if err := u.check(m.Inputs(), f); err != nil {
			return nil, "", err
		}
		output, err := pickOutput(m.Outputs(), "out_sample")
		if err == nil {
			err = checkRank(output, 4)
		}
		if u.led != nil {
			variant += "-led"
		}
		return []Port{output}, variant, err
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
func (u *unet) check(inputs []Port, f *folder) error {
	known := []Port{{Name: sampleInput, Dims: make([]int64, 4)}, {Name: textInput, Dims: make([]int64, 3)}}
	for i, v := range vectors {
		if f.vectorSizes()[i] > 0 {
			known = append(known, Port{Name: v.input, Dims: make([]int64, 2)})
		}
	}
	if u.noised {
		known = append(known, Port{Name: noiseInput, Dims: make([]int64, 1)})
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
	var others []Port
	for _, port := range inputs {
		if _, ok := findPort(known, port.Name); !ok && port.Name != timestepInput {
			others = append(others, port)
		}
	}
	return u.checkControl(others, f)
}

// takes tells whether the network can be fed with texts of so many tokens.
func (u *unet) takes(tokens int) error {
	if port, _ := u.graph.input(textInput); port.Dims[1] > 0 && int(port.Dims[1]) != tokens {
		return fmt.Errorf("the prompt has %d tokens with its padding, and the UNet was exported for %d only", tokens, port.Dims[1])
	}
	return nil
}

// predict fills the rows' Out: in one call, or in several where the graph takes
// fewer rows, or one timestep for all of them. With an error come those that
// are left.
func (u *unet) predict(ctx context.Context, tasks []task) (left []task, err error) {
	for len(tasks) > 0 {
		n := min(len(tasks), u.most)
		if i := slices.IndexFunc(tasks[:n], func(t task) bool { return !u.agree(t.row, tasks[0].row) }); i > 0 {
			n = i
		}
		if err := u.run(ctx, tasks[:n]); err != nil {
			return tasks, err
		}
		tasks = tasks[n:]
	}
	return nil, nil
}

// agree tells whether two rows agree in what is the same for all of a call.
func (u *unet) agree(a, b *Row) bool {
	return (!u.shared || a.Timestep == b.Timestep) && (u.fused == 0 || slices.Equal(a.Scales, b.Scales))
}

func (u *unet) run(ctx context.Context, tasks []task) error {
	shape := shapeOf(tasks[0].row)
	shape.rows = max(len(tasks), u.least)
	c, err := u.take(shape)
	if err != nil {
		return err
	}
	defer u.put(c)
	for i := range shape.rows {
		row := tasks[min(i, len(tasks)-1)].row // the last is its own padding
		at := i * (len(row.Sample) + len(row.Beside))
		copy(c.sample[at:], row.Sample)
		copy(c.sample[at+len(row.Sample):], row.Beside)
		copyRow(c.text, i, row.Text)
		for k, v := range vectors {
			copyRow(c.vectors[k], i, v.of(row))
		}
		if i < len(c.timestep) {
			c.timestep[i] = row.Timestep
		}
		if u.noised {
			c.noise[i] = row.Noise
		}
		u.lead(c, i, row)
	}
	if err := c.call.Run(ctx); err != nil {
		return err
	}
	for i, t := range tasks {
		if u.gives != nil {
			u.deliver(c, i, t.row)
		} else {
			copy(t.row.Out, c.out[i*len(t.row.Out):])
		}
	}
	return nil
}

func copyRow(dst []float32, i int, row []float32) { copy(dst[i*len(row):], row) }

// unetShape tells calls apart.
type unetShape struct {
	rows, height, width, tokens, text int
	vectors                           [len(vectors)]int
}

// shapeOf is the shape of calls with such rows, but for their number.
func shapeOf(row *Row) unetShape {
	shape := unetShape{height: row.Height, width: row.Width, tokens: row.Tokens, text: len(row.Text) / row.Tokens}
	for i, v := range vectors {
		shape.vectors[i] = len(v.of(row))
	}
	return shape
}

// unetCall is a bound call and its memory.
type unetCall struct {
	shape    unetShape
	call     Call
	sample   []float32
	timestep []float32
	text     []float32
	noise    []float32 // levels, where the network is told them
	vectors  [len(vectors)][]float32
	out      []float32
	control  controlCall
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
	u.idle = append(u.idle, c)
	numbers := 0
	for i := len(u.idle) - 1; i >= 0; i-- {
		if numbers += u.idle[i].control.numbers; i < len(u.idle)-maxIdle || numbers > maxIdleNumbers && i < len(u.idle)-1 {
			for _, old := range u.idle[:i+1] {
				old.call.Close()
			}
			u.idle = slices.Delete(u.idle, 0, i+1)
			break
		}
	}
}

func (u *unet) bind(s unetShape) (*unetCall, error) {
	sample := []int64{int64(s.rows), int64(u.channels + u.beside), int64(s.height), int64(s.width)}
	out := []int64{int64(s.rows), int64(u.channels), int64(s.height), int64(s.width)}
	timestep := []int64{int64(s.rows)}
	if port, _ := u.graph.input(timestepInput); u.shared {
		timestep = port.Dims
	}
	text := []int64{int64(s.rows), int64(s.tokens), int64(s.text)}
	c := &unetCall{
		shape:    s,
		sample:   make([]float32, size(sample)),
		timestep: make([]float32, size(timestep)),
		text:     make([]float32, size(text)),
		out:      make([]float32, size(out)),
	}
	inputs := []Tensor{
		{Name: sampleInput, Shape: sample, Floats: c.sample},
		{Name: timestepInput, Shape: timestep, Floats: c.timestep},
		{Name: textInput, Shape: text, Floats: c.text},
	}
	if u.noised {
		c.noise = make([]float32, s.rows)
		inputs = append(inputs, Tensor{Name: noiseInput, Shape: []int64{int64(s.rows)}, Floats: c.noise})
	}
	for i, v := range vectors {
		if s.vectors[i] > 0 {
			c.vectors[i] = make([]float32, s.rows*s.vectors[i])
			inputs = append(inputs, Tensor{Name: v.input, Shape: []int64{int64(s.rows), int64(s.vectors[i])}, Floats: c.vectors[i]})
		}
	}
	outputs := []Tensor{{Name: u.graph.outputs[0].Name, Shape: out, Floats: c.out}}
	if u.gives != nil {
		outputs = nil
	}
	inputs, outputs = u.bindControl(c, inputs, outputs)
	var err error
	c.call, err = u.graph.Bind(inputs, outputs)
	return c, err
}

func (u *unet) close() {
	for _, c := range u.idle {
		c.call.Close()
	}
	u.idle = nil
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
