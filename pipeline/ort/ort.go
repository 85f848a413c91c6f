// Package ort runs a pipeline's graphs with ONNX Runtime. It is the only
// package that needs a C compiler, and it loads the library when it is opened,
// not when it is linked.
package ort

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

// Options say which library and device to use. The zero value is a good one.
type Options struct {
	// Library is the path of ONNX Runtime's shared library. Where it is empty
	// the user's data folder is searched, in which deploy/onnxruntime.sh puts
	// it, and then the system's loader is asked.
	Library string
	// Device is auto (or empty), tensorrt, cuda or cpu. With auto the first of
	// them that works is taken; one that is named and doesn't work is an error.
	Device string
	// Threads is how many threads one call may use on a CPU; 1 where it is 0.
	// Calls side by side fill a CPU better than threads within a call.
	Threads int
	// Rows is the most rows of a UNet's call; 0: what suits the device.
	Rows int
	// Memory is what loaded models may take, bytes; 0: half of the device's.
	Memory int64
	// Loose lets a row's bits depend on what shares its call: no call is padded.
	Loose bool
	// Cache is the folder for what takes long to make and can be used again:
	// optimised graphs, and engines that TensorRT compiles. Empty for none.
	Cache string
	// Log is told which devices are left out and why; nil for nobody.
	Log *slog.Logger
}

// Runtime is ONNX Runtime on one device. It implements [pipeline.Runtime].
type Runtime struct {
	options   Options
	providers []provider // tried in this order for each node of a graph
	device    string     // its name
	cache     *cache     // of optimised graphs; nil for none
	worth     int64      // the size of graphs from which on the cache is used
	gpuLimit  int64      // bytes that a session may take on a GPU; 0 where that isn't known
}

var _ pipeline.Runtime = (*Runtime)(nil)

// Open loads ONNX Runtime and finds the device. A process has one library: a
// second Open shares it.
func Open(options Options) (*Runtime, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Rows < 0 {
		return nil, fmt.Errorf("%d rows a call: give at least 1, or nothing for what suits the device", options.Rows)
	}
	if options.Threads < 0 {
		return nil, fmt.Errorf("%d threads a call: give at least 1, or nothing for what suits the device", options.Threads)
	}
	options.Threads = max(1, options.Threads)
	if err := load(options.Library); err != nil {
		return nil, err
	}
	providers, err := pick(options)
	if err != nil {
		return nil, err
	}
	if options.Memory == 0 {
		options.Memory = memoryForModels(providers[0])
	}
	r := &Runtime{options: options, providers: providers, device: providers[0].deviceName(), worth: worthCaching}
	if providers[0].name != cpu {
		r.gpuLimit = gpuMemory() / 16 * 15 // the rest is for CUDA's own libraries
	}
	if options.Cache != "" && providers[0].name == cpu {
		r.cache = &cache{folder: filepath.Join(options.Cache, "graphs"), limit: cacheLimit, maker: maker(), log: options.Log}
	}
	return r, nil
}

// compiles tells whether sessions are for one shape of their inputs each.
func (r *Runtime) compiles() bool { return r.providers[0].name == tensorrt }

// maker is what an optimised graph depends on beside the graph: it holds
// layouts and fused kernels that suit one processor and one ONNX Runtime.
func maker() string {
	return strings.Join([]string{ort.GetVersion(), "all", runtime.GOARCH, processor("model name"), processor("flags"), processor("Features")}, "\n")
}

// The most rows of a call, where the user says nothing. On a CPU four cost 10 to
// 15 % less than four alone and eight no less than four, while 16 cost more. On a
// GPU larger calls gain more; but every call has all these rows, those of the
// last job of a batch as well.
const (
	cpuRows = 4
	gpuRows = 8
)

// Device implements [pipeline.Runtime]. On a GPU TensorRT compiles, and CUDA tries
// kernels, for each size of a call. On a CPU it has a lane for so many cores
// as a call has threads. GOMAXPROCS counts the cores that a control group leaves
// to the process, rounded up, but two where the machine has them.
func (r *Runtime) Device() pipeline.Device {
	d := pipeline.Device{Lanes: 1, Rows: gpuRows, Fixed: !r.options.Loose, Loose: r.options.Loose, Tunes: true, Memory: r.options.Memory}
	if r.providers[0].name == cpu {
		d.Lanes, d.Rows, d.Fixed, d.Tunes = max(1, runtime.GOMAXPROCS(0)/r.options.Threads), cpuRows, false, false
	}
	d.Contrib = !r.compiles() // else what TensorRT doesn't know would be CUDA's, and cut its engine in pieces
	if r.options.Rows > 0 {
		d.Rows = r.options.Rows
	}
	return d
}

// MadeWith says what a picture's bits depend on. On a CPU it is found out for
// each model whether they depend on the rows of a call.
func (r *Runtime) MadeWith() job.MadeWith {
	level := "all"
	switch d := r.Device(); {
	case d.Fixed:
		level = fmt.Sprintf("all, %d rows", d.Rows)
	case r.providers[0].name != cpu:
		level = "all, any rows"
	}
	return job.MadeWith{ONNXRuntime: ort.GetVersion(), Provider: r.providers[0].name, Device: r.device, Level: level}
}

// watch ends the call that runs under its options when a context ends.
type watch struct {
	options *ort.RunOptions
	mu      sync.Mutex
	over    bool // options are gone
}

type watchKey struct{}

// Interruptible implements [pipeline.Runtime].
func (r *Runtime) Interruptible(ctx context.Context) (context.Context, func(), error) {
	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, nil, fmt.Errorf("making run options: %w", err)
	}
	w := &watch{options: options}
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			w.options.Terminate() // fails only for options that are gone
		}
	})
	release := func() {
		stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			w.over = true
			w.options.Destroy()
		}
	}
	return context.WithValue(ctx, watchKey{}, w), release, nil
}

// runOptions returns what Interruptible put into ctx, or nil.
func runOptions(ctx context.Context) *ort.RunOptions {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		return w.options
	}
	return nil
}

// sessionOptions makes the options of a session, to be destroyed by the caller.
func (r *Runtime) sessionOptions(file pipeline.GraphFile, profile string) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		options.SetIntraOpNumThreads(r.options.Threads),
		options.SetInterOpNumThreads(1),
		// What goes wrong comes back as an error; it needn't be printed as well.
		options.SetLogSeverityLevel(ort.LoggingLevelFatal),
		// Threads that spin while they wait take the cores of other calls.
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	for _, p := range r.providers {
		if err == nil {
			err = p.append(options, p.settings(engineOf(file, profile, r.options.Cache, r.gpuLimit)))
		}
	}
	if err != nil {
		options.Destroy()
		return nil, err
	}
	return options, nil
}
