package ort

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	cores "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// open returns the runtime on the CPU; see openRuntime in package pipeline.
func open(t testing.TB) *Runtime {
	t.Helper()
	runtime, err := Open(Options{Library: os.Getenv("DARKROOM_ONNXRUNTIME"), Device: "cpu"})
	if err == nil {
		return runtime
	}
	if os.Getenv("DARKROOM_TEST_ALL") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}

func TestVersionsAreOrdered(t *testing.T) {
	folder := t.TempDir()
	for _, version := range []string{"1.9.0", "1.32.0", "1.31.1-gpu", "1.30.0", ".fetch-1"} {
		if err := os.MkdirAll(filepath.Join(folder, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if version[0] == '.' {
			continue // a download that was cut off
		}
		if err := os.WriteFile(filepath.Join(folder, version, "libonnxruntime.so."+strings.TrimSuffix(version, "-gpu")), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, path := range installed(folder) {
		got = append(got, filepath.Base(filepath.Dir(path)))
	}
	if want := []string{"1.31.1-gpu", "1.32.0", "1.30.0", "1.9.0"}; !slices.Equal(got, want) {
		t.Errorf("the libraries are tried in the order %v, want %v", got, want)
	}
}

func TestDevices(t *testing.T) {
	runtime := open(t)
	if runtime.MadeWith().Provider != "cpu" || runtime.Device().Lanes < 1 {
		t.Errorf("%+v on %+v", runtime.MadeWith(), runtime.Device())
	}
	if _, err := Open(Options{Device: "gpu"}); err == nil || !strings.Contains(err.Error(), "auto, tensorrt, cuda or cpu") {
		t.Errorf("an unknown device: %v", err)
	}
	if _, err := Open(Options{Rows: -1}); err == nil || !strings.Contains(err.Error(), "-1 rows") {
		t.Errorf("-1 rows a call: %v", err)
	}
	if _, err := Open(Options{Threads: -1}); err == nil || !strings.Contains(err.Error(), "-1 threads") {
		t.Errorf("-1 threads a call: %v", err)
	}
	for name, c := range map[string]struct {
		provider string
		options  Options
		want     pipeline.Device
		level    string
	}{
		"a CPU":           {cpu, Options{Threads: 1, Memory: 5}, pipeline.Device{Lanes: cores.GOMAXPROCS(0), Rows: 4, Contrib: true, Memory: 5}, "all"},
		"a thread a core": {cpu, Options{Threads: 1000, Rows: 3}, pipeline.Device{Lanes: 1, Rows: 3, Contrib: true}, "all"},
		"a loose CPU":     {cpu, Options{Threads: 1000, Loose: true}, pipeline.Device{Lanes: 1, Rows: 4, Loose: true, Contrib: true}, "all"},
		"a GPU":           {cuda, Options{Threads: 1}, pipeline.Device{Lanes: 1, Rows: 8, Fixed: true, Tunes: true, Contrib: true}, "all, 8 rows"},
		"a loose GPU":     {tensorrt, Options{Threads: 1, Rows: 2, Loose: true}, pipeline.Device{Lanes: 1, Rows: 2, Loose: true, Tunes: true}, "all, any rows"},
	} {
		r := &Runtime{options: c.options, providers: []provider{{name: c.provider}}}
		if d, level := r.Device(), r.MadeWith().Level; d != c.want || level != c.level {
			t.Errorf("%s: %+v at %q, want %+v at %q", name, d, level, c.want, c.level)
		}
	}
	automatic, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"cuda", "tensorrt"} {
		_, err := Open(Options{Device: device})
		works := automatic.MadeWith().Provider == device || automatic.MadeWith().Provider == "tensorrt"
		if !works && (err == nil || !strings.Contains(err.Error(), device)) {
			t.Errorf("%s was named and doesn't work: %v", device, err)
		}
	}
}

// text returns the tiny text encoder.
func text(t testing.TB, runtime *Runtime) pipeline.Graph {
	t.Helper()
	return loadGraph(t, runtime, "../testdata/sd/text_encoder/model.onnx", "last_hidden_state")
}

func loadGraph(t testing.TB, runtime *Runtime, path, output string) pipeline.Graph {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Outputs(), func(p pipeline.Port) bool { return p.Name == output })
	graph, err := runtime.Load(pipeline.GraphFile{Name: path, Path: path, Inputs: m.Inputs(), Outputs: m.Outputs()[i : i+1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { graph.Close() })
	return graph
}

func floats(name string, shape ...int64) pipeline.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return pipeline.Tensor{Name: name, Shape: shape, Floats: make([]float32, n)}
}

func TestBindRefusesWhatDoesNotFit(t *testing.T) {
	graph := text(t, open(t))
	ids := pipeline.Tensor{Name: "input_ids", Shape: []int64{1, 77}, Ints: make([]int64, 77)}
	out := floats("last_hidden_state", 1, 77, 16)
	for name, c := range map[string]struct {
		in, out pipeline.Tensor
		want    string
	}{
		"an unknown input": {pipeline.Tensor{Name: "ids", Shape: ids.Shape, Ints: ids.Ints}, out, `no port "ids", only input_ids`},
		"a wrong rank":     {pipeline.Tensor{Name: "input_ids", Shape: []int64{77}, Ints: ids.Ints}, out, `port "input_ids" takes the shape [any any], not [77]`},
		"a wrong width":    {ids, floats("last_hidden_state", 1, 77, 32), `port "last_hidden_state" takes the shape [any any 16]`},
		"too few numbers":  {pipeline.Tensor{Name: "input_ids", Shape: []int64{1, 77}, Ints: ids.Ints[1:]}, out, "76 numbers"},
		"floats for ids":   {floats("input_ids", 1, 77), out, ""},
	} {
		call, err := graph.Bind([]pipeline.Tensor{c.in}, []pipeline.Tensor{c.out})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				call.Close()
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "text_encoder/model.onnx") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := graph.Bind(nil, []pipeline.Tensor{out}); err == nil || !strings.Contains(err.Error(), `"input_ids" is left empty`) {
		t.Errorf("no input: %v", err)
	}
}

// TestScalars feeds a timestep of rank 0, as a graph has it that wasn't edited.
func TestScalars(t *testing.T) {
	graph := loadGraph(t, open(t), "../testdata/sd/unet/model.onnx", "out_sample")
	sample, hidden, out := floats("sample", 1, 4, 8, 8), floats("encoder_hidden_states", 1, 77, 16), floats("out_sample", 1, 4, 8, 8)
	timestep := pipeline.Tensor{Name: "timestep", Floats: make([]float32, 1)}
	call, err := graph.Bind([]pipeline.Tensor{sample, timestep, hidden}, []pipeline.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	var results [2][]float32
	for i := range results {
		timestep.Floats[0] = float32(1 + 900*i)
		if err := call.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		results[i] = slices.Clone(out.Floats)
	}
	if slices.Equal(results[0], results[1]) {
		t.Error("the timestep plays no part")
	}
}

// TestInterrupt ends a call in its middle. It measures against the call's own
// time, so that a slow machine changes nothing, and more than once, since others
// may have the cores for a while.
func TestInterrupt(t *testing.T) {
	runtime := open(t)
	graph := loadGraph(t, runtime, "../testdata/sd/unet/model.onnx", "out_sample")
	const rows, side = 48, 16
	inputs := []pipeline.Tensor{
		floats("sample", rows, 4, side, side), {Name: "timestep", Floats: []float32{500}}, floats("encoder_hidden_states", rows, 77, 16),
	}
	call, err := graph.Bind(inputs, []pipeline.Tensor{floats("out_sample", rows, 4, side, side)})
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	for try := 1; ; try++ {
		begin := time.Now()
		if err := call.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		whole := time.Since(begin)

		timeout, cancel := context.WithTimeout(t.Context(), whole/8)
		ctx, release, err := runtime.Interruptible(timeout)
		if err != nil {
			t.Fatal(err)
		}
		begin = time.Now()
		err = call.Run(ctx)
		cut := time.Since(begin)
		release()
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && cut <= whole*3/4 {
			break
		}
		if try == 20 {
			t.Fatalf("cut off after an eighth, the call ends after %v of %v with: %v", cut, whole, err)
		}
	}
	// The same call, after it was cut off, and under a context that can't cut it.
	if err := call.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReleaseBesideCancel(t *testing.T) {
	runtime := open(t)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		_, release, err := runtime.Interruptible(ctx)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { cancel(); close(done) }()
		release()
		<-done
	}
}

func TestClassify(t *testing.T) {
	if err := classify(errors.New("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")); !errors.Is(err, pipeline.ErrOutOfMemory) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is no lack of memory, in one line", err)
	}
	if err := classify(errors.New("invalid dimensions")); errors.Is(err, pipeline.ErrOutOfMemory) {
		t.Errorf("%v is a lack of memory", err)
	}
}
