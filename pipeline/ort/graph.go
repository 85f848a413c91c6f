package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
)

// graph is a session, or one for each shape of its inputs. ONNX Runtime lets any
// number of calls run in one at once.
type graph struct {
	runtime  *Runtime
	file     pipeline.GraphFile // its Data let go where there is one session
	sessions sessions
}

// Load implements [pipeline.Runtime].
func (r *Runtime) Load(file pipeline.GraphFile) (pipeline.Graph, error) {
	g := &graph{runtime: r, file: file}
	if r.compiles() {
		return g, nil // when the shapes of its calls are known
	}
	session, err := r.load(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, classify(err))
	}
	g.file.Data = nil
	_, err = g.sessions.take("", func() (*ort.DynamicAdvancedSession, error) { return session, nil })
	return g, err
}

// session returns the session for calls with such inputs, to be put back. TensorRT
// compiles an engine for one shape of each input: one for a range of them would be
// slower, and a call out of the range would compile anew or fail. So a size that a
// job is the first to use takes a compilation, of minutes, and from then on, in
// later processes too, the time of reading its engine from the cache.
func (g *graph) session(inputs []pipeline.Tensor) (*session, error) {
	profile := ""
	if g.runtime.compiles() {
		profile = profileOf(inputs)
	}
	return g.sessions.take(profile, func() (*ort.DynamicAdvancedSession, error) {
		return g.runtime.session(g.file, profile, nil)
	})
}

// profileOf writes shapes as TensorRT's options have them.
func profileOf(inputs []pipeline.Tensor) string {
	var shapes []string
	for _, t := range inputs {
		if len(t.Shape) > 0 { // a scalar has no place among them
			shapes = append(shapes, t.Name+":"+strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", "x"))
		}
	}
	slices.Sort(shapes)
	return strings.Join(shapes, ",")
}

// load makes a session, by way of the cache where that is quicker.
func (r *Runtime) load(file pipeline.GraphFile) (*ort.DynamicAdvancedSession, error) {
	c := r.cache
	if c == nil || file.Digest == "" || file.Passing || file.Size < r.worth || file.Size > c.limit {
		return r.session(file, "", nil)
	}
	entry := c.path(file.Digest)
	if c.find(entry) {
		saved := pipeline.GraphFile{Path: filepath.Join(entry, savedGraph), Inputs: file.Inputs, Outputs: file.Outputs}
		session, err := r.session(saved, "", func(options *ort.SessionOptions) error {
			return options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll) // it was
		})
		if err == nil {
			return session, nil
		}
		c.log.Warn("a saved graph can't be loaded: it is made anew", "graph", file.Name, "folder", entry, "reason", brief(err))
		c.remove(entry)
	}
	session, unsaved := r.save(file, entry)
	if session == nil {
		var err error
		if session, err = r.session(file, "", nil); err != nil {
			return nil, err
		}
	}
	if unsaved != nil {
		c.log.Warn("a graph's optimised form can't be saved: the next start takes as long as this one", "graph", file.Name, "reason", brief(unsaved))
	}
	return session, nil
}

// save makes a session and the entry of its optimised graph. Where the entry
// fails there may still be a session.
func (r *Runtime) save(file pipeline.GraphFile, entry string) (*ort.DynamicAdvancedSession, error) {
	folder, err := r.cache.begin()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	session, err := r.session(file, "", func(options *ort.SessionOptions) error {
		return errors.Join(
			options.SetOptimizedModelFilePath(filepath.Join(folder, savedGraph)),
			options.AddSessionConfigEntry("session.optimized_model_external_initializers_file_name", savedWeights),
		)
	})
	if err != nil {
		return nil, err
	}
	return session, r.cache.commit(folder, entry)
}

// session makes a session, for inputs of one profile where that isn't empty, with
// what adjust adds to the usual options.
func (r *Runtime) session(file pipeline.GraphFile, profile string, adjust func(*ort.SessionOptions) error) (*ort.DynamicAdvancedSession, error) {
	options, err := r.sessionOptions(file, profile)
	if err != nil {
		return nil, fmt.Errorf("making session options: %w", err)
	}
	defer options.Destroy()
	if adjust != nil {
		if err := adjust(options); err != nil {
			return nil, fmt.Errorf("making session options: %w", err)
		}
	}
	inputs, outputs := names(file.Inputs), names(file.Outputs)
	if file.Data == nil {
		return ort.NewDynamicAdvancedSession(file.Path, inputs, outputs, options)
	}
	if file.Folder != "" {
		if err := options.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", file.Folder); err != nil {
			return nil, err
		}
	}
	return ort.NewDynamicAdvancedSessionWithONNXData(file.Data, inputs, outputs, options)
}

// Close implements [pipeline.Graph].
func (g *graph) Close() error { return g.sessions.close() }

// Bind implements [pipeline.Graph].
func (g *graph) Bind(inputs, outputs []pipeline.Tensor) (pipeline.Call, error) {
	c := &call{graph: g}
	err := c.bind(&c.inputs, g.file.Inputs, inputs)
	if err == nil {
		err = c.bind(&c.outputs, g.file.Outputs, outputs)
	}
	if err == nil {
		c.session, err = g.session(inputs)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", g.file.Name, classify(err))
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
			return fmt.Errorf("%w: %w", pipeline.ErrOutOfMemory, err)
		}
	}
	return err
}
