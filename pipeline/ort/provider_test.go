package ort

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// TestSettings holds the providers' options for a graph; no GPU is needed.
func TestSettings(t *testing.T) {
	profile := profileOf([]pipeline.Tensor{floats("sample", 8, 4, 64, 48), {Name: "scalar"}, floats("encoder_hidden_states", 8, 77, 768)})
	if want := "encoder_hidden_states:8x77x768,sample:8x4x64x48"; profile != want {
		t.Fatalf("the profile is %s, want %s", profile, want)
	}
	file := pipeline.GraphFile{Digest: "abc", Inputs: []pipeline.Port{{Name: "sample", Type: onnx.Float16}}}
	e := engineOf(file, profile, "folder", 1<<34)
	if got, want := (provider{name: tensorrt}).settings(e), map[string]string{
		"device_id": "0", "trt_fp16_enable": "1", "trt_layer_norm_fp32_fallback": "1",
		"trt_profile_min_shapes": profile, "trt_profile_opt_shapes": profile, "trt_profile_max_shapes": profile,
		"trt_engine_cache_enable": "1", "trt_engine_cache_path": "folder/tensorrt", "trt_engine_cache_prefix": e.prefix,
		"trt_timing_cache_enable": "1", "trt_timing_cache_path": "folder/tensorrt",
	}; !maps.Equal(got, want) {
		t.Errorf("TensorRT's options are %v, want %v", got, want)
	}
	passing := file
	passing.Passing = true
	if got, want := (provider{name: tensorrt}).settings(engineOf(passing, "", "folder", 0)), map[string]string{
		"device_id": "0", "trt_fp16_enable": "1", "trt_layer_norm_fp32_fallback": "1", "trt_timing_cache_enable": "1", "trt_timing_cache_path": "folder/tensorrt",
	}; !maps.Equal(got, want) {
		t.Errorf("TensorRT's options for one of many variants are %v, want %v", got, want)
	}
	if got, want := (provider{name: cuda}).settings(e), map[string]string{
		"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0", "gpu_mem_limit": "17179869184",
	}; !maps.Equal(got, want) {
		t.Errorf("CUDA's options are %v, want %v", got, want)
	}
	whole := file
	whole.Inputs = []pipeline.Port{{Name: "sample", Type: onnx.Float32}}
	if settings := (provider{name: tensorrt}).settings(engineOf(whole, "", "", 0)); len(settings) != 1 {
		t.Errorf("of a float graph without a cache or shapes: %v", settings)
	}
	file.Digest = "abd"
	if engineOf(file, profile, "", 0).prefix == e.prefix || engineOf(file, "sample:1", "", 0).prefix == engineOf(file, "sample:2", "", 0).prefix {
		t.Error("different weights or shapes share an engine")
	}
}

// TestProvidersTakeTheirOptions has ONNX Runtime parse them, where its library
// knows the provider at all.
func TestProvidersTakeTheirOptions(t *testing.T) {
	open(t)
	e := engineOf(pipeline.GraphFile{Digest: "abc", Inputs: []pipeline.Port{{Type: onnx.Float16}}}, "sample:2x4x8x8", t.TempDir(), 1<<30)
	if options, err := ort.NewTensorRTProviderOptions(); err == nil {
		defer options.Destroy()
		if err := options.Update((provider{name: tensorrt}).settings(e)); err != nil && !isMissing(err) {
			t.Error(err)
		}
	}
	if options, err := ort.NewCUDAProviderOptions(); err == nil {
		defer options.Destroy()
		if err := options.Update((provider{name: cuda}).settings(e)); err != nil && !isMissing(err) {
			t.Error(err)
		}
	}
}

func isMissing(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "not enabled") || strings.Contains(text, "failed to load")
}

// TestFallBack holds the lines that say which devices are left out, and why.
func TestFallBack(t *testing.T) {
	open(t)
	var log bytes.Buffer
	r, err := Open(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers[:slices.IndexFunc(providers, func(p provider) bool { return p.name == r.providers[0].name })] {
		if line := "device=" + p.name + " reason="; !strings.Contains(log.String(), line) {
			t.Errorf("nothing says why %s is left out: %s", p.name, &log)
		}
	}
}

// compilingAs stands the CPU in for a provider that compiles.
func compilingAs(r *Runtime) *Runtime {
	return &Runtime{options: r.options, providers: []provider{{tensorrt, func(*ort.SessionOptions, map[string]string) error { return nil }}}}
}

// bindUNet binds a call of the tiny UNet for latents of a size.
func bindUNet(t testing.TB, g pipeline.Graph, side int64) (pipeline.Call, []float32) {
	t.Helper()
	out := floats("out_sample", 1, 4, side, side)
	call, err := g.Bind(
		[]pipeline.Tensor{floats("sample", 1, 4, side, side), {Name: "timestep", Floats: []float32{1}}, floats("encoder_hidden_states", 1, 77, 16)},
		[]pipeline.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	return call, out.Floats
}

// TestSessionsByShape has a provider that compiles: each shape gets a session of its own, once, and the numbers are the same.
func TestSessionsByShape(t *testing.T) {
	r := open(t)
	want := predict(t, r, tinyUNet(t))
	compiling := compilingAs(r)
	if got := predict(t, compiling, tinyUNet(t)); !slices.Equal(got, want) {
		t.Error("other numbers than from a session for all shapes")
	}
	loaded, err := compiling.Load(tinyUNet(t))
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	for _, side := range []int64{8, 16, 8, 16} {
		call, _ := bindUNet(t, loaded, side)
		call.Close()
	}
	if n := len(loaded.(*graph).sessions.all); n != 2 {
		t.Errorf("two sizes have %d sessions", n)
	}
}

// TestSessionsAreBounded binds calls of many sizes: what was used the longest ago
// goes, but no session that a call is bound to.
func TestSessionsAreBounded(t *testing.T) {
	loaded, err := compilingAs(open(t)).Load(tinyUNet(t))
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	sessions := &loaded.(*graph).sessions
	run := func(call pipeline.Call, out []float32) []float32 {
		t.Helper()
		if err := call.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(out)
	}
	first, firstOut := bindUNet(t, loaded, 2)
	want := run(first, firstOut)
	var bound []pipeline.Call
	for i := range int64(maxSessions) {
		call, _ := bindUNet(t, loaded, 4+2*i)
		bound = append(bound, call)
	}
	if n := len(sessions.all); n != maxSessions+1 {
		t.Errorf("%d calls are bound to %d sessions", maxSessions+1, n)
	}
	for _, call := range bound {
		call.Close()
	}
	for i := range int64(4) {
		call, _ := bindUNet(t, loaded, 4+2*(maxSessions+i))
		call.Close()
	}
	if n := len(sessions.all); n != maxSessions {
		t.Errorf("%d sessions stay, want %d", n, maxSessions)
	}
	kept := map[string]bool{}
	for _, one := range sessions.all {
		kept[one.profile] = true
	}
	for side, want := range map[int]bool{2: true, 4: false, 10: false, 12: false, 14: true, 4 + 2*(maxSessions+3): true} {
		if got := kept[fmt.Sprintf("encoder_hidden_states:1x77x16,sample:1x4x%dx%[1]d", side)]; got != want {
			t.Errorf("the session of size %d stays: %v, want %v", side, got, want)
		}
	}
	if got := run(first, firstOut); !slices.Equal(got, want) {
		t.Error("a call that was bound all the time gives other numbers")
	}
	first.Close()
	again, out := bindUNet(t, loaded, 4)
	if len(run(again, out)) != 4*4*4 || len(sessions.all) != maxSessions {
		t.Errorf("a size that went and is back: %d sessions", len(sessions.all))
	}
	again.Close()
}
