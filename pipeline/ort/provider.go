package ort

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

const (
	auto     = "auto"
	tensorrt = "tensorrt"
	cuda     = "cuda"
	cpu      = "cpu"
)

// provider is what ONNX Runtime calls an execution provider.
type provider struct {
	name   string
	append func(*ort.SessionOptions, map[string]string) error
}

// providers in the order of preference; each leaves what it can't run to those
// behind it.
var providers = []provider{
	{tensorrt, appendTensorRT},
	{cuda, appendCUDA},
	{cpu, func(*ort.SessionOptions, map[string]string) error { return nil }},
}

// pick returns the providers to use: the one that was named, or the first that
// works, and those behind it that work too.
func pick(options Options) ([]provider, error) {
	named := options.Device
	if named == auto {
		named = ""
	}
	var picked []provider
	known := named == ""
	for _, p := range providers {
		known = known || p.name == named
		if !known {
			continue
		}
		err := probe(p)
		switch {
		case err == nil:
			picked = append(picked, p)
		case p.name == named:
			return nil, fmt.Errorf("device %s: %w (deploy/onnxruntime.sh gpu fetches the build for GPUs)", named, err)
		default:
			options.Log.Info("device is left out", "device", p.name, "reason", err)
		}
	}
	if !known {
		return nil, fmt.Errorf("device %q is unknown: say auto, tensorrt, cuda or cpu", named)
	}
	return picked, nil
}

// identity is the graph y = Identity(x), for one float: what a provider is
// tried on, since a library that lacks CUDA says so only when a session is made.
var identity = []byte("\x08\x08:@\n\x10\n\x01x\x12\x01y\"\x08Identity\x12\x02id" +
	"Z\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n\x06\x12\x04rowsb\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x06\x12\x04rowsB\x04\n\x00\x10\r")

// probe makes a session with p and runs it.
func probe(p provider) error {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	options.SetLogSeverityLevel(ort.LoggingLevelFatal)
	if err := p.append(options, p.settings(engine{})); err != nil {
		return brief(err)
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(identity, []string{"x"}, []string{"y"}, options)
	if err != nil {
		return brief(err)
	}
	defer session.Destroy()
	x, err := ort.NewTensor(ort.NewShape(1), []float32{1})
	if err != nil {
		return err
	}
	defer x.Destroy()
	out := []ort.Value{nil}
	if err := session.Run([]ort.Value{x}, out); err != nil {
		return brief(err)
	}
	return out[0].Destroy()
}

// engine is what a provider must know of a graph.
type engine struct {
	cache   string // the folder for compiled engines; empty for none
	prefix  string // of their files: tells contents, edits and shapes
	profile string // the shapes of the inputs
	half    bool   // the graph was exported in half precision
	limit   int64  // of memory, bytes; 0 for none
	passing bool   // its compiled form isn't kept
}

func engineOf(file pipeline.GraphFile, profile, cache string, limit int64) engine {
	isHalf := func(p pipeline.Port) bool { return p.Type == onnx.Float16 }
	sum := sha256.Sum256([]byte(file.Digest + "\n" + profile))
	return engine{
		cache: cache, prefix: fmt.Sprintf("%x", sum[:16]), profile: profile, limit: limit, passing: file.Passing,
		half: slices.ContainsFunc(file.Inputs, isHalf) || slices.ContainsFunc(file.Outputs, isHalf),
	}
}

// settings are a provider's options for a graph. See ONNX Runtime's pages on
// its execution providers for what each means.
func (p provider) settings(e engine) map[string]string {
	switch p.name {
	case tensorrt:
		settings := map[string]string{"device_id": "0"}
		if e.profile != "" {
			settings["trt_profile_min_shapes"] = e.profile
			settings["trt_profile_opt_shapes"] = e.profile
			settings["trt_profile_max_shapes"] = e.profile
		}
		if e.half {
			settings["trt_fp16_enable"] = "1"
			settings["trt_layer_norm_fp32_fallback"] = "1" // sums of squares overflow a half
		}
		if e.cache != "" {
			folder := filepath.Join(e.cache, "tensorrt")
			settings["trt_timing_cache_enable"] = "1"
			settings["trt_timing_cache_path"] = folder
			if !e.passing {
				settings["trt_engine_cache_enable"] = "1"
				settings["trt_engine_cache_path"] = folder
				settings["trt_engine_cache_prefix"] = e.prefix // TensorRT's own key knows nothing of weights
			}
		}
		return settings
	case cuda:
		settings := map[string]string{
			"device_id":              "0",
			"cudnn_conv_algo_search": "HEURISTIC",        // an exhaustive search for every new size takes longer than it saves
			"arena_extend_strategy":  "kSameAsRequested", // sizes vary: powers of two waste memory
			"use_tf32":               "0",                // float32 means float32
		}
		if e.limit > 0 {
			settings["gpu_mem_limit"] = strconv.FormatInt(e.limit, 10)
		}
		return settings
	}
	return nil
}

func appendTensorRT(options *ort.SessionOptions, settings map[string]string) error {
	t, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer t.Destroy()
	if path := settings["trt_timing_cache_path"]; path != "" {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("making the folder for TensorRT's engines: %w", err)
		}
	}
	if err := t.Update(settings); err != nil {
		return err
	}
	return options.AppendExecutionProviderTensorRT(t)
}

func appendCUDA(options *ort.SessionOptions, settings map[string]string) error {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer c.Destroy()
	if err := c.Update(settings); err != nil {
		return err
	}
	return options.AppendExecutionProviderCUDA(c)
}

// brief cuts an error of ONNX Runtime down to its first line.
func brief(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(strings.TrimSpace(text))
}

// deviceName returns the name of the GPU or the processor.
func (p provider) deviceName() string {
	if p.name != cpu {
		out, err := exec.Command("nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0").Output()
		if err == nil {
			return strings.TrimSpace(string(out))
		}
		return "GPU"
	}
	if runtime.GOOS == "darwin" {
		if out, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	if name := processor("model name"); name != "" {
		// ONNX Runtime's attention goes by blocks that fit into this cache, in
		// whose order it adds up.
		if size, err := os.ReadFile("/sys/devices/system/cpu/cpu0/cache/index2/size"); err == nil {
			name += ", L2 " + strings.TrimSpace(string(size))
		}
		return name
	}
	return runtime.GOARCH
}

// processor returns what Linux says of the first core under a key; else nothing.
func processor(key string) string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
