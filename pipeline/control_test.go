package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestGoldenControls draws what diffusers drew with the same weights, seeds and
// schedulers: testdata/make_controls.py.
func TestGoldenControls(t *testing.T) {
	renderer, library := openControlled(t, orttest.Open(t), "sd", "lcm", "sd2", "xl", "inpaint", "fused", "residuals")
	data, err := os.ReadFile("testdata/controls.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for name, line := range cases {
		t.Run(name, func(t *testing.T) {
			picture := render(t, renderer, resolve(t, library, string(line)))
			want := decodePNG(t, mustRead(t, filepath.Join("testdata/controlled", name+".png")))
			compare(t, decodePNG(t, picture.Data), want, maxOff, meanOff)
		})
	}
}

// openControlled returns a renderer for models of testdata as openModels does,
// with all ControlNets beside them.
func openControlled(t testing.TB, runtime pipeline.Runtime, names ...string) (*pipeline.Renderer, *pipeline.Library) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		layModel(t, filepath.Join(folder, name), name)
	}
	library := openLibrary(t, folder, "testdata/controlnets")
	renderer := pipeline.New(runtime, library, "0.0.0")
	t.Cleanup(renderer.Close)
	return renderer, library
}

const (
	byLines = `{"model": "lines", "image": "inputs/lines.png"}`
	byTone  = `{"model": "tone", "image": "inputs/picture.png", "preprocess": "luminance", "start": 0.4, "scale": 0.5}`
	guessed = `{"model": "lines", "image": "inputs/picture.png", "preprocess": "canny", "end": 0.7, "guess_mode": true}`
)

// ledAndUnled are jobs of a model, led by none, one and several ControlNets,
// guided and not, of all samplers that mixed has.
func ledAndUnled(t *testing.T, library *pipeline.Library, model string, n int, leads ...string) []job.Spec {
	specs := mixed(t, library, model, n, 3, 7)
	for i := range specs {
		kind := `"width": 64`
		if i%5 == 4 {
			kind = `"kind": "edit", "image": "inputs/picture.png", "width": 64, "height": 64`
		}
		spec := specs[i]
		line := fmt.Sprintf(`{%s, "control": %s, "model": %q, "prompt": %q, "seed": %d, "sampler": %q, "steps": %d, "guidance_scale": %v}`,
			kind, leads[i%len(leads)], model, spec.Prompt, spec.Seed, spec.Sampler, spec.Steps, spec.GuidanceScale)
		specs[i] = resolve(t, library, line)
	}
	return specs
}

// TestControlArrangements draws jobs that ControlNets lead beside others and
// beside some that none leads: the files are the same to the last byte.
func TestControlArrangements(t *testing.T) {
	for model, leads := range map[string][]string{
		"sd":        {"[]", "[" + byLines + "]", "[" + byTone + "," + byLines + "]", "[" + guessed + "]"},
		"residuals": {"[]", "[" + byTone + "]", "[" + guessed + "]"},
		"fused": {
			"[]", `[{"image": "inputs/lines.png"}]`,
			`[{"image": "inputs/picture.png", "preprocess": "canny", "end": 0.5}, {"image": "inputs/picture.png", "scale": 0.5}]`,
		},
	} {
		t.Run(model, func(t *testing.T) {
			renderer, library := openControlled(t, orttest.Open(t), model)
			specs := ledAndUnled(t, library, model, 12, leads...)
			alone := renderAll(t, renderer, specs, 1)
			for i, device := range []pipeline.Device{{Lanes: 1, Rows: 8}, {Lanes: 2, Rows: 3}, {Lanes: 1, Rows: 1}, {Lanes: 1, Rows: 6, Fixed: true}} {
				renderer := pipeline.New(shaped{orttest.Open(t), device}, library, "0.0.0")
				defer renderer.Close()
				arrange(t, renderer, specs, alone, len(specs), uint64(i))
			}
		})
	}
}

// ledCall tells whether a call is that of a UNet with inputs for residuals, and
// which of its rows have none.
func ledCall(c *hookedCall) (rows int, unled []bool, ok bool) {
	for _, input := range c.inputs {
		if !strings.Contains(input.Name, "residual") {
			continue
		}
		if rows, ok = int(input.Shape[0]), true; unled == nil {
			unled = slices.Repeat([]bool{true}, rows)
		}
		for i, v := range input.Floats {
			unled[i*rows/len(input.Floats)] = unled[i*rows/len(input.Floats)] && v == 0
		}
	}
	return rows, unled, ok
}

// TestLedAndUnledShareCalls starts four jobs at a time: those that a ControlNet
// leads meet in its calls, and all four in the UNet's.
func TestLedAndUnledShareCalls(t *testing.T) {
	var renderer *pipeline.Renderer
	var mu sync.Mutex
	together, sharedLead := 0, 0
	started, gathered := false, false
	device := shaped{orttest.Open(t), pipeline.Device{Lanes: 1, Rows: 8}}
	hook := &hooked{device, func(ctx context.Context, c *hookedCall) error {
		mu.Lock()
		defer mu.Unlock()
		if started && (strings.Contains(c.graph.name, "unet") || strings.Contains(c.graph.name, "lines")) {
			for !gathered && renderer.Stats().Active < 4 {
				runtime.Gosched() // the first waits for all
			}
			gathered = true
			if _, unled, ok := ledCall(c); ok && len(unled) == 8 && slices.Contains(unled, true) && slices.Contains(unled, false) {
				together++
			}
			if rows := c.inputs[0].Shape[0]; strings.Contains(c.graph.name, "lines") && rows == 4 {
				sharedLead++
			}
		}
		return c.Call.Run(ctx)
	}}
	renderer, library := openControlled(t, hook, "sd")
	const steps = 6
	var specs []job.Spec
	for i := range 4 {
		control := [2]string{"[]", "[" + byLines + "]"}[i%2]
		specs = append(specs, resolve(t, library, fmt.Sprintf(`{"model": "sd", "control": %s, "seed": %d, "sampler": "euler", "steps": %d}`, control, i, steps)))
	}
	alone := renderAll(t, renderer, specs, 1)
	started = true
	for i, file := range renderAll(t, renderer, specs, 4) {
		if !bytes.Equal(file, alone[i]) {
			t.Errorf("job %d has other bytes beside others than alone", i)
		}
	}
	// The first call may be one of few: the rest have joined by its end.
	if together < steps-1 || sharedLead < steps-1 {
		t.Errorf("of %d steps, %d had all rows in one call, and %d the ControlNet's in one", steps, together, sharedLead)
	}
}

// TestUnlike has a UNet do other bits in the graph that takes residuals, as some
// kernels may: rows that no ControlNet leads stay out of its calls.
func TestUnlike(t *testing.T) {
	off := &hooked{shaped{orttest.Open(t), pipeline.Device{Lanes: 1, Rows: 8}}, func(ctx context.Context, c *hookedCall) error {
		err := c.Call.Run(ctx)
		if _, _, ok := ledCall(c); ok && strings.Contains(c.graph.name, "unet") {
			for i := range c.outputs[0].Floats {
				c.outputs[0].Floats[i] *= 1 + 1e-3
			}
		}
		return err
	}}
	renderer, library := openControlled(t, off, "sd")
	specs := ledAndUnled(t, library, "sd", 8, "[]", "["+byLines+"]", "["+guessed+"]")
	alone := renderAll(t, renderer, specs, 1)
	for seed := range 3 {
		arrange(t, renderer, specs, alone, 8, uint64(seed))
	}
	plain, _ := openControlled(t, orttest.Open(t), "sd")
	if unled := renderAll(t, plain, specs[:1], 1); !bytes.Equal(unled[0], alone[0]) {
		t.Error("a job that no ControlNet leads is drawn by the other graph")
	}
}

// TestControlResumes takes a job up where it was stopped, between the steps at
// which its ControlNets begin and end.
func TestControlResumes(t *testing.T) {
	renderer, library := openControlled(t, orttest.Open(t), "sd")
	spec := resolve(t, library, `{"model": "sd", "prompt": "x", "steps": 8, "sampler": "dpmpp_2m", "control": [`+byTone+","+guessed+`]}`)
	want := render(t, renderer, spec).Data
	for _, at := range []int{2, 4, 7} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := renderer.Render(ctx, job.Order{Spec: spec, Input: testInput}, func(done, _ int) {
			if done == at {
				cancel(job.ErrPreempted)
			}
		})
		var stopped *job.Preempted
		if !errors.As(err, &stopped) {
			t.Fatalf("preempted after %d evaluations: %v", at, err)
		}
		picture, err := renderer.Render(t.Context(), job.Order{Spec: spec, Input: testInput, Checkpoint: &stopped.Checkpoint}, nil)
		if err != nil || !bytes.Equal(picture.Data, want) {
			t.Errorf("taken up after %d evaluations, the picture is another: %v", at, err)
		}
	}
}

// TestLedStepsAllocateNothing holds that a led render's allocations don't grow
// with its steps.
func TestLedStepsAllocateNothing(t *testing.T) {
	renderer, library := openControlled(t, still{}, "sd", "fused")
	for _, fields := range []string{`"model": "sd", "control": [` + byLines + "," + guessed + `]`, `"model": "fused", "control": [{"image": "inputs/lines.png", "end": 0.5}]`} {
		spec := resolve(t, library, `{"sampler": "euler", `+fields+`}`)
		allocations := func(steps int) float64 {
			spec.Steps = steps
			return testing.AllocsPerRun(3, func() { render(t, renderer, spec) })
		}
		// As in TestStepsAllocateNothing, some dozens come and go. One for each
		// step that is led to its end would be 250 more at the least.
		if few, many := allocations(20), allocations(520); many-few > 150 {
			t.Errorf("%s: %g allocations with 20 steps, %g with 520", fields, few, many)
		}
	}
}

// TestControlNetsMakeRoom renders with a UNet, its twin and ControlNets in memory
// for a few of them, and closes all in the end.
func TestControlNetsMakeRoom(t *testing.T) {
	const all = graphsOfAModel + 1 + 2
	full := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 2, Rows: 4}}
	renderer, library := openControlled(t, full, "sd")
	specs := ledAndUnled(t, library, "sd", 6, "["+byLines+"]", "["+byTone+"]")
	want := renderAll(t, renderer, specs, 3)
	if open := full.open.Load() - 1; open != all { // and the encoder, for the edit
		t.Errorf("%d graphs are open, want %d", open, all)
	}
	renderer.Close()
	if open := full.open.Load(); open != 0 {
		t.Errorf("%d graphs stay open", open)
	}
	scarce := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 2, Rows: 4, Memory: 1}}
	renderer = pipeline.New(scarce, library, "0.0.0")
	for i, file := range renderAll(t, renderer, specs, 3) {
		if !bytes.Equal(file, want[i]) {
			t.Errorf("job %d is another picture where memory is scarce", i)
		}
	}
	renderer.Close()
	if open := scarce.open.Load(); open != 0 {
		t.Errorf("%d graphs stay open", open)
	}
}

// TestBadControls says what is wrong with what leads a job.
func TestBadControls(t *testing.T) {
	renderer, library := openControlled(t, orttest.Open(t), "sd", "fused")
	broken := t.TempDir()
	variant := func(name, from string, edit func(config map[string]any)) {
		var config map[string]any
		if err := json.Unmarshal(mustRead(t, filepath.Join("testdata/controlnets", from, "config.json")), &config); err != nil {
			t.Fatal(err)
		}
		edit(config)
		data, _ := json.Marshal(config)
		write(t, filepath.Join(broken, name, "config.json"), string(data))
		write(t, filepath.Join(broken, name, "model.onnx"), string(mustRead(t, filepath.Join("testdata/controlnets", from, "model.onnx"))))
	}
	variant("deeper", "lines", func(c map[string]any) { c["layers_per_block"] = 2 })
	variant("wider", "lines", func(c map[string]any) { c["block_out_channels"] = []int{8, 32} })
	variant("shapeless", "lines", func(c map[string]any) { delete(c, "block_out_channels") })
	variant("no-control", "lines", func(map[string]any) {})
	write(t, filepath.Join(broken, "no-control", "model.onnx"), string(mustRead(t, "testdata/sd/unet/model.onnx")))
	variant("bottomless", "lines", func(c map[string]any) { c["layers_per_block"] = -1 })
	variant("towering", "lines", func(c map[string]any) { c["conditioning_embedding_out_channels"] = slices.Repeat([]int{8}, 64) })
	variant("unsized", "xl-lines", func(c map[string]any) { c["projection_class_embeddings_input_dim"] = 40 })
	variant("pointer", "lines", func(map[string]any) {})
	write(t, filepath.Join(broken, "pointer", "model.onnx"), "version https://git-lfs.github.com/spec/v1\n")

	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "sd"), "sd")
	layModel(t, filepath.Join(folder, "xl"), "xl")
	library2 := openLibrary(t, folder, broken)
	renderer2 := pipeline.New(orttest.Open(t), library2, "0.0.0")
	defer renderer2.Close()
	for name, want := range map[string]string{
		"deeper":     "it has 5 residuals, and its configuration makes 7 of them",
		"wider":      "16 channels, and its configuration makes 32",
		"shapeless":  "no block_out_channels",
		"no-control": "residuals",
		"bottomless": "layers_per_block is -1, want a whole number from 1",
		"towering":   "up to 16 levels",
		"unsized":    "projection_class_embeddings_input_dim is 40, want more than 6 times",
		"pointer":    "git lfs pull",
	} {
		model := "sd"
		if name == "unsized" {
			model = "xl"
		}
		spec := resolve(t, library2, `{"model": "`+model+`", "steps": 1, "control": [{"model": "`+name+`", "image": "inputs/lines.png"}]}`)
		_, err := renderer2.Render(t.Context(), job.Order{Spec: spec, Input: testInput}, nil)
		if err == nil || job.ClassOf(err) != job.BadJob || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v (%s), want a bad job that says %q", name, err, job.ClassOf(err), want)
		}
	}

	good := resolve(t, library, `{"model": "sd", "steps": 1, "control": [`+byLines+`]}`)
	for what, spoil := range map[string]func(*job.Order){
		"the image of control 0": func(o *job.Order) {
			o.Input = func(context.Context, string) ([]byte, error) { return []byte("no picture"), nil }
		},
		"no preprocessor is called": func(o *job.Order) { o.Spec.Control[0].Preprocess = "openpose" },
		"holds 2": func(o *job.Order) {
			o.Spec = resolve(t, library, `{"model": "fused", "steps": 1, "control": [{"image": "inputs/lines.png"}]}`)
			o.Spec.Control = slices.Repeat(o.Spec.Control, 3)
		},
	} {
		order := job.Order{Spec: good, Input: testInput}
		order.Spec.Control = slices.Clone(good.Control)
		spoil(&order)
		_, err := renderer.Render(t.Context(), order, nil)
		if err == nil || job.ClassOf(err) != job.BadJob || !strings.Contains(err.Error(), what) {
			t.Errorf("%v (%s), want a bad job that says %q", err, job.ClassOf(err), what)
		}
	}
}
