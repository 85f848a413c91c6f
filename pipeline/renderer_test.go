package pipeline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// TestSameBitsBesideOthers draws many pictures at a time and each alone.
func TestSameBitsBesideOthers(t *testing.T) {
	renderer, library := openModels(t, "sd")
	lines := []string{
		`{"model": "sd", "prompt": "a red circle", "seed": 1, "steps": 5, "sampler": "euler"}`,
		`{"model": "sd", "prompt": "a red circle", "seed": 1, "steps": 5, "sampler": "euler_ancestral", "guidance_scale": 1}`,
		`{"model": "sd", "prompt": "a blue star", "seed": 2, "steps": 7, "sampler": "ddim", "width": 80}`,
		`{"model": "sd", "prompt": "a blue star", "seed": 3, "steps": 4, "sampler": "dpmpp_2m", "negative_prompt": "night", "clip_skip": 1}`,
	}
	alone := make([][]byte, len(lines))
	for i, line := range lines {
		alone[i] = render(t, renderer, resolve(t, library, line)).Data
	}
	// A renderer of its own loads its model while all of them wait for it.
	beside, _ := openModels(t, "sd")
	var wait sync.WaitGroup
	for i := range 3 * len(lines) {
		spec := resolve(t, library, lines[i%len(lines)])
		wait.Go(func() {
			picture, err := beside.Render(t.Context(), job.Order{Spec: spec}, nil)
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(picture.Data, alone[i%len(lines)]) {
				t.Errorf("line %d has other bytes beside other jobs than alone", i%len(lines))
			}
		})
	}
	wait.Wait()
}

// TestPicture holds what comes with a picture.
func TestPicture(t *testing.T) {
	renderer, library := openModels(t, "sd")
	spec := resolve(t, library, `{"model": "sd", "prompt": "a red circle", "steps": 3, "sampler": "heun", "width": 96}`)
	var progress []int
	picture, err := renderer.Render(t.Context(), job.Order{Spec: spec}, func(done, all int) {
		if all != 5 {
			t.Errorf("%d evaluations, want 5", all)
		}
		progress = append(progress, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(progress, []int{1, 2, 3, 4, 5}) {
		t.Errorf("progress is %v", progress)
	}
	if picture.Ext != "png" || picture.Width != 96 || picture.Height != 64 || len(picture.Models["sd"]) != 64 {
		t.Errorf("%s %dx%d of %v", picture.Ext, picture.Width, picture.Height, picture.Models)
	}
	if made := picture.MadeWith; made.Darkroom != "0.0.0" || made.ONNXRuntime == "" || made.Provider != "cpu" || made.Device == "" || made.Level != "all" {
		t.Errorf("%+v", made)
	}
	for _, stage := range []string{"text", "denoise", "decode", "encode"} {
		if picture.Timing[stage] <= 0 {
			t.Errorf("no time for %s in %v", stage, picture.Timing)
		}
	}
}

func TestFormats(t *testing.T) {
	renderer, library := openModels(t, "sd")
	const line = `{"model": "sd", "prompt": "a red circle", "steps": 2, "format": `
	jpeg := render(t, renderer, resolve(t, library, line+`"jpeg"}`))
	if jpeg.Ext != "jpg" || !bytes.HasPrefix(jpeg.Data, []byte{0xff, 0xd8, 0xff}) {
		t.Errorf("%s begins with % x", jpeg.Ext, jpeg.Data[:3])
	}
	npy := render(t, renderer, resolve(t, library, line+`"npy"}`))
	if npy.Ext != "npy" || !strings.Contains(string(npy.Data[:128]), "(1, 4, 8, 8)") || len(npy.Data) != 128+4*4*8*8 {
		t.Errorf("%s of %d bytes", npy.Ext, len(npy.Data))
	}
	if first := math.Float32frombits(binary.LittleEndian.Uint32(npy.Data[128:])); first == 0 || first != first {
		t.Errorf("the latent begins with %v", first)
	}
}

// TestPromptsMatter guards against tests that would pass with any text.
func TestPromptsMatter(t *testing.T) {
	renderer, library := openModels(t, "sd")
	draw := func(fields string) []byte {
		spec := resolve(t, library, `{"model": "sd", "steps": 2, "format": "npy", `+fields+`}`)
		return render(t, renderer, spec).Data
	}
	plain := draw(`"prompt": "a red circle"`)
	for _, fields := range []string{
		`"prompt": "a blue circle"`, `"prompt": "a red circle", "negative_prompt": "night"`, `"prompt": "a red circle", "clip_skip": 1`,
		`"prompt": "a red circle", "guidance_end": 0.5`, `"prompt": "a red circle", "guidance_rescale": 1`, `"prompt": "a red circle", "guidance_scale": 1`,
	} {
		if bytes.Equal(plain, draw(fields)) {
			t.Errorf("%s changes nothing", fields)
		}
	}
	for _, fields := range []string{`"prompt": "A  Red circle"`, `"prompt": "a red circle", "negative_prompt": ""`, `"prompt": "a red circle", "guidance_start": 0, "guidance_end": 1`} {
		if !bytes.Equal(plain, draw(fields)) {
			t.Errorf("%s changes the latent", fields)
		}
	}
}

func TestCancelBetweenSteps(t *testing.T) {
	renderer, library := openModels(t, "sd")
	spec := resolve(t, library, `{"model": "sd", "prompt": "a red circle", "steps": 50}`)
	reason := errors.New("the lamp went out")
	ctx, cancel := context.WithCancelCause(t.Context())
	last := 0
	_, err := renderer.Render(ctx, job.Order{Spec: spec}, func(done, _ int) {
		if last = done; done == 3 {
			cancel(reason)
		}
	})
	if !errors.Is(err, reason) || last != 3 {
		t.Errorf("cancelled after 3 evaluations, it ended after %d with: %v", last, err)
	}
	if job.ClassOf(err) != "" {
		t.Errorf("a cancelled job is %s", job.ClassOf(err))
	}
	if _, err := renderer.Render(t.Context(), job.Order{Spec: spec}, nil); err != nil {
		t.Errorf("after a cancelled render: %v", err)
	}
}

// TestBrokenGraphs holds that a model that can't be loaded is an error of its
// own jobs, names the file, and is tried again.
func TestBrokenGraphs(t *testing.T) {
	runtime := orttest.Open(t)
	whole, err := os.ReadFile("testdata/sd/unet/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := os.ReadFile("testdata/sd/text_encoder/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		variant string
		file    string
		content string
		want    []string
	}{
		"no ONNX file":          {"sd", "unet/model.onnx", "these are words", []string{"not an ONNX file"}},
		"an empty file":         {"sd", "unet/model.onnx", "", []string{"not an ONNX file"}},
		"a Git LFS pointer":     {"sd", "vae_decoder/model.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", []string{"git lfs pull"}},
		"half a file":           {"sd", "unet/model.onnx", string(whole[:len(whole)/2]), []string{"not an ONNX file"}},
		"another graph":         {"sd", "unet/model.onnx", string(encoder), []string{`no input "sample"`, "input_ids"}},
		"a graph of two inputs": {"sd", "text_encoder/model.onnx", string(whole), []string{"sample", "timestep"}},
		"too many inputs":       {"sd", "unet/model.onnx", string(mustRead(t, "testdata/variants/lcm/unet/model.onnx")), []string{`"timestep_cond"`}},
		"too few inputs":        {"lcm", "unet/model.onnx", string(whole), []string{`no input "timestep_cond"`}},
		"weights of no size":    {"external", "unet/model.onnx_data", "", []string{"unet"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			layModel(t, filepath.Join(folder, "broken"), c.variant)
			layModel(t, filepath.Join(folder, "whole"), c.variant)
			kept := mustRead(t, filepath.Join(folder, "whole", c.file))
			write(t, filepath.Join(folder, "broken", c.file), c.content)
			library := openLibrary(t, folder)
			renderer := pipeline.New(runtime, library, "0.0.0")
			defer renderer.Close()

			const line = `{"prompt": "a red circle", "steps": 1, "model": `
			_, err := renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, line+`"broken"}`)}, nil)
			expect(t, err, append(c.want, filepath.Join("broken", filepath.Dir(c.file)))...)
			if job.ClassOf(err) != job.BadJob {
				t.Errorf("its class is %q", job.ClassOf(err))
			}
			render(t, renderer, resolve(t, library, line+`"whole"}`))
			write(t, filepath.Join(folder, "broken", c.file), string(kept))
			render(t, renderer, resolve(t, library, line+`"broken"}`))
		})
	}
}

// TestModelIsGone takes a part away between the job's check and its rendering.
func TestModelIsGone(t *testing.T) {
	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "tiny"), "sd")
	library := openLibrary(t, folder)
	spec := resolve(t, library, `{"model": "tiny", "prompt": "x", "steps": 1}`)
	if err := os.Remove(filepath.Join(folder, "tiny/unet/model.onnx")); err != nil {
		t.Fatal(err)
	}
	renderer := pipeline.New(orttest.Open(t), library, "0.0.0")
	defer renderer.Close()
	_, err := renderer.Render(t.Context(), job.Order{Spec: spec}, nil)
	expect(t, err, `model "tiny"`, "lacks unet/model.onnx")
	if job.ClassOf(err) != job.BadJob {
		t.Errorf("its class is %q", job.ClassOf(err))
	}
}

// TestMissingWeights names the file that external weights should be in.
func TestMissingWeights(t *testing.T) {
	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "tiny"), "external")
	if err := os.Remove(filepath.Join(folder, "tiny/unet/model.onnx_data")); err != nil {
		t.Fatal(err)
	}
	library := openLibrary(t, folder)
	renderer := pipeline.New(orttest.Open(t), library, "0.0.0")
	defer renderer.Close()
	_, err := renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, `{"model": "tiny", "prompt": "x", "steps": 1}`)}, nil)
	expect(t, err, "tiny/unet/model.onnx", "model.onnx_data", "missing")
}

// TestNotANumber breaks a weight: the job is bad, others go on.
func TestNotANumber(t *testing.T) {
	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "tiny"), "external")
	path := filepath.Join(folder, "tiny/unet/model.onnx_data")
	weights := mustRead(t, path)
	for i := 0; i+4 <= len(weights); i += 4 {
		binary.LittleEndian.PutUint32(weights[i:], math.Float32bits(float32(math.Inf(1))))
	}
	write(t, path, string(weights))
	library := openLibrary(t, folder)
	renderer := pipeline.New(orttest.Open(t), library, "0.0.0")
	defer renderer.Close()
	_, err := renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, `{"model": "tiny", "prompt": "x", "steps": 3}`)}, nil)
	expect(t, err, "not numbers", "evaluation 1 of")
	if job.ClassOf(err) != job.BadJob {
		t.Errorf("its class is %q", job.ClassOf(err))
	}
}

// TestWrongDigest holds that a job isn't rendered with other weights than it
// was checked with.
func TestWrongDigest(t *testing.T) {
	renderer, library := openModels(t, "sd")
	spec := resolve(t, library, `{"model": "sd", "prompt": "x", "steps": 1}`)
	spec.Model = "sd@" + strings.Repeat("0", 64)
	if _, err := renderer.Render(t.Context(), job.Order{Spec: spec}, nil); !errors.Is(err, pipeline.ErrNoModel) || job.ClassOf(err) != job.NoModel {
		t.Errorf("other weights: %v, class %q", err, job.ClassOf(err))
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
