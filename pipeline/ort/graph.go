package ort

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
)

// graph is a session. ONNX Runtime lets any number of calls run in it at once.
type graph struct {
	file    pipeline.GraphFile // its Data let go
	session *ort.DynamicAdvancedSession
}

// Load implements [pipeline.Runtime].
func (r *Runtime) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	options, err := r.session(file.Digest)
	if err != nil {
		return nil, fmt.Errorf("%s: making session options: %w", file.Name, err)
	}
	defer options.Destroy()
	inputs, outputs := names(file.Inputs), names(file.Outputs)
	var session *ort.DynamicAdvancedSession
	switch {
	case file.Data == nil:
		session, err = ort.NewDynamicAdvancedSession(file.Path, inputs, outputs, options)
	default:
		if file.Folder != "" {
			err = options.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", file.Folder)
		}
		if err == nil {
			session, err = ort.NewDynamicAdvancedSessionWithONNXData(file.Data, inputs, outputs, options)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, classify(err))
	}
	file.Data = nil
	return &graph{file, session}, nil
}

// Close implements [pipeline.Graph].
func (g *graph) Close() error { return g.session.Destroy() }

// Bind implements [pipeline.Graph].
func (g *graph) Bind(inputs, outputs []pipeline.Tensor) (pipeline.Call, error) {
	c := &call{graph: g}
	err := c.bind(&c.inputs, g.file.Inputs, inputs)
	if err == nil {
		err = c.bind(&c.outputs, g.file.Outputs, outputs)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", g.file.Name, err)
	}
	return c, nil
}

// bind makes one ONNX Runtime value for each port.
func (c *call) bind(values *[]ort.Value, ports []pipeline.Port, tensors []pipeline.Tensor) error {
	for _, t := range tensors {
		if !slices.ContainsFunc(ports, func(p pipeline.Port) bool { return p.Name == t.Name }) {
			return fmt.Errorf("it has no port %q, only %s", t.Name, strings.Join(names(ports), ", "))
		}
	}
	for _, port := range ports {
		i := slices.IndexFunc(tensors, func(t pipeline.Tensor) bool { return t.Name == port.Name })
		if i < 0 {
			return fmt.Errorf("port %q is left empty", port.Name)
		}
		if err := fits(port, tensors[i]); err != nil {
			return err
		}
		v, err := newCell(port, tensors[i])
		if err != nil {
			return fmt.Errorf("port %q: %w", port.Name, err)
		}
		c.cells = append(c.cells, v)
		*values = append(*values, v.value)
	}
	return nil
}

// fits checks a tensor against the port that the graph declares. ONNX Runtime
// takes a wrong rank and then fails deep inside, at some node that broadcasts.
func fits(port pipeline.Port, t pipeline.Tensor) error {
	size := int64(1)
	wrong := len(t.Shape) != len(port.Dims)
	for i, n := range t.Shape {
		size *= n
		wrong = wrong || port.Dims[i] >= 0 && port.Dims[i] != n
	}
	if wrong {
		return fmt.Errorf("port %q takes the shape %s, not %v", port.Name, shape(port.Dims), t.Shape)
	}
	if have := int64(max(len(t.Floats), len(t.Ints))); have != size {
		return fmt.Errorf("port %q: %d numbers for the shape %v", port.Name, have, t.Shape)
	}
	return nil
}

func shape(dims []int64) string {
	words := make([]string, len(dims))
	for i, n := range dims {
		words[i] = "any"
		if n >= 0 {
			words[i] = fmt.Sprint(n)
		}
	}
	return "[" + strings.Join(words, " ") + "]"
}

func names(ports []pipeline.Port) []string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = p.Name
	}
	return list
}

// classify marks errors that come from a lack of memory, by the words that
// ONNX Runtime's allocators, CUDA and the C++ library use.
func classify(err error) error {
	text := strings.ToLower(err.Error())
	for _, words := range []string{"out of memory", "failed to allocate memory", "bad_alloc", "bad allocation", "cudnn_status_alloc_failed", "cublas_status_alloc_failed"} {
		if strings.Contains(text, words) {
			return errors.Join(pipeline.ErrOutOfMemory, err)
		}
	}
	return err
}
