package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// adapters returns a library with the tiny models, the LoRAs and the embeddings of
// testdata.
func adapters(t testing.TB) (*pipeline.Renderer, *pipeline.Library) { return adaptersAnd(t, nil) }

// adaptersAnd has further files beside them, by name.
func adaptersAnd(t testing.TB, more map[string]string) (*pipeline.Renderer, *pipeline.Library) {
	t.Helper()
	folder := t.TempDir()
	for name, content := range more {
		if err := os.WriteFile(filepath.Join(folder, name+".safetensors"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	layModel(t, filepath.Join(folder, "sd"), "sd")
	layModel(t, filepath.Join(folder, "xl"), "xl")
	layModel(t, filepath.Join(folder, "dynamo"), "dynamo")
	layModel(t, filepath.Join(folder, "argmax"), "xl", "argmax")
	layModel(t, filepath.Join(folder, "external"), "external")
	layModel(t, filepath.Join(folder, "named"), "named")
	layModel(t, filepath.Join(folder, "half"), "half", "half-named")
	if err := os.CopyFS(folder, os.DirFS("testdata/adapters")); err != nil {
		t.Fatal(err)
	}
	library := openLibrary(t, folder)
	renderer := pipeline.New(orttest.Open(t), library, "0.0.0")
	t.Cleanup(renderer.Close)
	return renderer, library
}

// TestGoldenAdapted renders what diffusers drew with the same LoRAs and embeddings:
// testdata/make_adapters.py.
func TestGoldenAdapted(t *testing.T) {
	renderer, library := adapters(t)
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(mustRead(t, "testdata/adapted.json"), &cases); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			picture := render(t, renderer, resolve(t, library, string(cases[name])))
			compare(t, decodePNG(t, picture.Data), decodePNG(t, mustRead(t, filepath.Join("testdata/adapted", name+".png"))), maxOff, meanOff)
		})
	}
}

// TestAdaptedExports adds LoRAs to what other exporters write of the same weights:
// names in the nodes' metadata, and weights in a file beside the graph, whose
// layers' names are gone with those of its nodes.
func TestAdaptedExports(t *testing.T) {
	renderer, library := adapters(t)
	const line = `{"prompt": "a red circle on a blue square", "steps": 3, "loras": [{"name": "kohya", "scale": 0.8}, {"name": "peft"}], "model": `
	want := decodePNG(t, render(t, renderer, resolve(t, library, line+`"sd"}`)).Data)
	for _, model := range []string{"dynamo", "named", "half"} {
		t.Run(model, func(t *testing.T) {
			most, mean := float64(maxOff), float64(meanOff)
			if model == "half" {
				most, mean = 12, 1 // as without LoRAs
			}
			compare(t, decodePNG(t, render(t, renderer, resolve(t, library, line+`"`+model+`"}`)).Data), want, most, mean)
		})
	}
	_, err := renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, line+`"external"}`)}, nil)
	expect(t, err, "external/unet/model.onnx", "nowhere what its layers are called")
	if job.ClassOf(err) != job.BadJob {
		t.Errorf("%v has the class %q", err, job.ClassOf(err))
	}
}

// TestLearnedWordIsThatWord gives a word the vectors of one that the model knows:
// the picture is that word's, also where the text's end is looked for by the
// largest id.
func TestLearnedWordIsThatWord(t *testing.T) {
	renderer, library := adapters(t)
	for _, model := range []string{"xl", "argmax"} {
		line := func(word string) string {
			return `{"model": "` + model + `", "prompt": "a ` + word + ` circle on a blue square", "steps": 3, "embeddings": ["crimson-xl"]}`
		}
		want := decodePNG(t, render(t, renderer, resolve(t, library, line("red"))).Data)
		got := decodePNG(t, render(t, renderer, resolve(t, library, line("crimson-xl"))).Data)
		compare(t, got, want, 0, 0)
		other := decodePNG(t, render(t, renderer, resolve(t, library, line("green"))).Data)
		if reflect.DeepEqual(other, want) {
			t.Errorf("%s draws red and green alike", model)
		}
	}
}

// TestSetsAreKept renders with two sets of LoRAs in turn: each takes one session,
// of the UNet alone, since that is all that it changes.
func TestSetsAreKept(t *testing.T) {
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	runtime := &counted{Runtime: orttest.Open(t), device: pipeline.Device{Lanes: 1, Rows: 2}}
	renderer := pipeline.New(runtime, library, "0.0.0")
	var specs []job.Spec
	for i := range 10 {
		specs = append(specs, resolve(t, library, fmt.Sprintf(`{"prompt": "a red circle", "steps": 1, "seed": 1, "guidance_scale": 1, "loras": [{"name": "house-sepia", "scale": %v}]}`, []float64{1, .5}[i%2])))
	}
	pictures := renderAll(t, renderer, specs, 1)
	if got := runtime.loaded.Load(); got != 4 {
		t.Errorf("%d graphs were loaded for two sets, want 2 UNets, a text encoder and a VAE", got)
	}
	for i, picture := range pictures {
		if !bytes.Equal(picture, pictures[i%2]) || bytes.Equal(pictures[0], pictures[1]) {
			t.Errorf("picture %d is not that of its set", i)
		}
	}
	renderAll(t, renderer, []job.Spec{resolve(t, library, `{"prompt": "a red circle", "steps": 1, "seed": 1, "guidance_scale": 1}`)}, 1)
	renderAll(t, renderer, []job.Spec{resolve(t, library, `{"prompt": "a <gem>", "steps": 1, "seed": 1, "guidance_scale": 1, "embeddings": ["house-gem"]}`)}, 1)
	if got := runtime.loaded.Load(); got != 6 {
		t.Errorf("%d graphs were loaded, want one UNet more for none of the sets, and one text encoder for a word", got)
	}
	renderer.Close()
	if open := runtime.open.Load(); open != 0 {
		t.Errorf("%d graphs stay open", open)
	}
}

// TestLoRAsLeaveTheHeap holds that nothing of a LoRA stays there once its graphs
// are loaded, and that a text encoder finds it again that is loaded once more.
func TestLoRAsLeaveTheHeap(t *testing.T) {
	const rank, matrix = 1 << 16, 16 * 4 << 16 // bytes
	header, from := `{`, 0
	for _, layer := range []string{"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"} {
		for _, one := range []string{fmt.Sprintf(`lora_A.weight":{"shape":[%d,16]`, rank), fmt.Sprintf(`lora_B.weight":{"shape":[16,%d]`, rank)} {
			header += fmt.Sprintf(`"%s.%s,"dtype":"F32","data_offsets":[%d,%d]},`, layer, one, from, from+matrix)
			from += matrix
		}
	}
	renderer, library := adaptersAnd(t, map[string]string{"wide": tensors(strings.TrimSuffix(header, ",")+`}`, from)})
	draw := func(fields string) []byte {
		return render(t, renderer, resolve(t, library, `{"model": "sd", "prompt": "a red circle", "seed": 1, "steps": 1, `+fields+`}`)).Data
	}
	plain, skipped := decodePNG(t, draw(`"clip_skip": 0`)), decodePNG(t, draw(`"clip_skip": 1`))
	before, _ := inUse(t)
	compare(t, decodePNG(t, draw(`"clip_skip": 0, "loras": [{"name": "wide"}]`)), plain, 0, 0)
	compare(t, decodePNG(t, draw(`"clip_skip": 1, "loras": [{"name": "wide"}]`)), skipped, 0, 0)
	if after, _ := inUse(t); after-before > matrix {
		t.Errorf("of a LoRA of %d bytes, %d stay in the heap", from, after-before)
	}
}

// TestBadAdapters holds that what is found only beside the graphs is the job's own
// fault, and says what doesn't fit.
func TestBadAdapters(t *testing.T) {
	renderer, library := adaptersAnd(t, map[string]string{
		"strange": loraFile(`unet.no_such_block.attentions.0.to_q`, `[2,8]`, `[8,2]`, 64, 64),
		"large":   loraFile(`unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q`, `[2,16]`, `[32,2]`, 128, 256),
		"kernel":  loraFile(`unet.mid_block.resnets.0.conv1`, `[2,16,5,5]`, `[16,2,1,1]`, 3200, 128),
		"square":  tensors(`{"circle":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}`, 64),
		"blue":    tensors(`{"blue":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}`, 64),
		"nan":     tensors(`{"<nan>":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}`, 60) + "\x00\x00\xc0\x7f",
	})
	for line, words := range map[string][]string{
		`{"model": "sd", "loras": [{"name": "strange"}]}`: {"LoRA strange doesn't fit", "1 of its 1 layers", "unet.no_such_block.attentions.0.to_q.lora_A.weight"},
		`{"model": "sd", "loras": [{"name": "large"}]}`:   {"LoRA large doesn't fit", "16 inputs and 32 outputs", "16 inputs and 16 outputs"},
		`{"model": "sd", "loras": [{"name": "kernel"}]}`:  {"LoRA kernel doesn't fit", "5x5", "3x3"},
		`{"model": "sd", "embeddings": ["square"]}`:       {"embedding square", "circle is a word that the model knows already"},
		`{"model": "sd", "embeddings": ["nan"]}`:          {"embedding nan", "not numbers"},
	} {
		_, err := renderer.Render(t.Context(), job.Order{Spec: resolve(t, library, line)}, nil)
		expect(t, err, words...)
		if job.ClassOf(err) != job.BadJob {
			t.Errorf("%v has the class %q", err, job.ClassOf(err))
		}
	}
}

// loraFile is a LoRA of one layer, all zeros.
func loraFile(layer, down, up string, downBytes, upBytes int) string {
	header := fmt.Sprintf(`{"%s.lora_A.weight":{"dtype":"F32","shape":%s,"data_offsets":[0,%d]},"%[1]s.lora_B.weight":{"dtype":"F32","shape":%[4]s,"data_offsets":[%[3]d,%[5]d]}}`,
		layer, down, downBytes, up, downBytes+upBytes)
	return tensors(header, downBytes+upBytes)
}
