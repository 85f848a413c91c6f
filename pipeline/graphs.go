package pipeline

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/onnx"
)

// slack is room for the few bytes that edits add, so that a file of gigabytes
// is not copied for them.
const slack = 1 << 14

// openGraph loads one of a model's graphs. prepare checks what the file
// declares, edits it where that is called for, and returns the outputs that
// calls will ask for and what tells the edited graph from the file's own.
func openGraph(runtime Runtime, f *folder, name string, prepare func(*onnx.Model) (outputs []Port, variant string, err error)) (*loadedGraph, error) {
	data, err := readWithSlack(f.Files, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(name), reason(err))
	}
	model, err := onnx.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(name), err)
	}
	outputs, variant, err := prepare(model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(name), err)
	}
	for _, port := range slices.Concat(model.Inputs(), outputs) {
		if err := checkSize(port); err != nil {
			return nil, fmt.Errorf("%s: %w", f.file(name), err)
		}
	}
	if runtime.Device().Contrib && model.FuseAttention() > 0 {
		variant += "-attention"
	}
	taught := false
	if f.taught != nil {
		if taught, err = f.taught.teach(model, f, name); err != nil {
			return nil, fmt.Errorf("%s: %w", f.file(name), err)
		}
	}
	if taught {
		variant += f.taught.variant
	}
	file := GraphFile{
		Name:    f.file(name),
		Digest:  strings.NewReplacer("/", "-", ".onnx", "").Replace(f.model.Digest + "-" + name + variant),
		Inputs:  model.Inputs(),
		Outputs: outputs,
		Size:    int64(len(data)),
		Passing: taught,
	}
	weights, err := f.weightsSize(name, model.Files())
	if err != nil {
		return nil, err
	}
	file.Size += weights
	switch {
	case f.Folder != "" && !model.Edited():
		file.Path = filepath.Join(f.Folder, filepath.FromSlash(name))
	case f.Folder != "":
		file.Data, file.Folder = model.Encode(), filepath.Join(f.Folder, filepath.FromSlash(path.Dir(name)))
	default:
		file.Data = model.Encode()
	}
	graph, err := runtime.Load(file)
	if err != nil {
		return nil, fmt.Errorf("loading %w", err)
	}
	return &loadedGraph{Graph: graph, inputs: file.Inputs, outputs: outputs}, nil
}

// loadedGraph is a graph with what its file declares.
type loadedGraph struct {
	Graph
	inputs  []Port
	outputs []Port // what calls ask for
}

// input returns the input called name.
func (g *loadedGraph) input(name string) (Port, bool) { return findPort(g.inputs, name) }

func findPort(ports []Port, name string) (Port, bool) {
	i := slices.IndexFunc(ports, func(p Port) bool { return p.Name == name })
	if i < 0 {
		return Port{}, false
	}
	return ports[i], true
}

func readWithSlack(files fs.FS, name string) ([]byte, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size(), info.Size()+slack)
	for n := 0; n < len(data); {
		more, err := file.Read(data[n:])
		if n += more; err != nil && n < len(data) {
			return nil, err
		}
	}
	return data, nil
}

// only returns the single input of a graph and the output called name, or the
// single one, checking their ranks: names differ between exporters.
func only(m *onnx.Model, inputRank int, name string, outputRank int) (input, output Port, err error) {
	inputs, outputs := m.Inputs(), m.Outputs()
	if len(inputs) != 1 {
		return input, output, fmt.Errorf("it has the inputs %s; want one", portNames(inputs))
	}
	if output, err = pickOutput(outputs, name); err != nil {
		return input, output, err
	}
	if err = checkRank(inputs[0], inputRank); err == nil {
		err = checkRank(output, outputRank)
	}
	return inputs[0], output, err
}

func pickOutput(outputs []Port, name string) (Port, error) {
	if output, ok := findPort(outputs, name); ok {
		return output, nil
	}
	if len(outputs) != 1 {
		return Port{}, fmt.Errorf("it has the outputs %s; want %s", portNames(outputs), name)
	}
	return outputs[0], nil
}

func checkRank(p Port, rank int) error {
	if len(p.Dims) != rank {
		return fmt.Errorf("port %q has %d dimensions, want %d", p.Name, len(p.Dims), rank)
	}
	return nil
}

// mostNumbers is more than the largest picture has.
const mostNumbers = 1 << 28

// checkSize refuses a port that is for more numbers than can be held: who calls the
// graph makes room for them before ONNX Runtime looks at its shape.
func checkSize(p Port) error {
	numbers := int64(1)
	for _, n := range closed(p.Dims, 1) {
		if n > mostNumbers/numbers {
			return fmt.Errorf("port %q has the shape %v, for more than %d million numbers", p.Name, p.Dims, mostNumbers>>20)
		}
		numbers *= n
	}
	return nil
}

func portNames(ports []Port) string {
	if len(ports) == 0 {
		return "(none)"
	}
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}
