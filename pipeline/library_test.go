package pipeline_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
)

func TestLibraryDescribesModels(t *testing.T) {
	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "tiny"), "sd")
	layModel(t, filepath.Join(folder, "quick"), "lcm")
	write(t, filepath.Join(folder, "notes.txt"), "not a model")
	library, err := pipeline.NewLibrary(pipeline.Sources{
		Folders: []string{folder}, Builtin: models.All(), Cache: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range library.Entries() {
		if _, err := library.Model(entry.Name); err != nil {
			t.Error(err)
		}
		names = append(names, entry.Name)
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "house house-") || !strings.HasSuffix(got, "quick tiny") {
		t.Errorf("the library holds %s", got)
	}
	tiny, err := library.Model("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if tiny.Width != 64 || tiny.Height != 64 || tiny.Multiple != 16 || tiny.Steps != 50 || tiny.GuidanceScale != 7.5 || tiny.Sampler != "pndm" || tiny.TextLayers != 3 || tiny.Distilled {
		t.Errorf("%+v", tiny)
	}
	quick, err := library.Model("quick")
	if err != nil {
		t.Fatal(err)
	}
	if quick.Steps != 4 || quick.GuidanceScale != 8.5 || quick.Sampler != "lcm" || !quick.Distilled {
		t.Errorf("%+v", quick)
	}
	house, err := library.Model("house")
	if err != nil {
		t.Fatal(err)
	}
	if house.Width != 128 || house.Steps != 20 || house.GuidanceScale != 4 || house.Multiple != 32 {
		t.Errorf("%+v", house)
	}
}

func TestFolderIsAModelItself(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "sd")
	if _, err := openLibrary(t, folder).Model("tiny"); err != nil {
		t.Error(err)
	}
}

// TestDigest works a model's digest out as its documentation says.
func TestDigest(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "external")
	before := digest(t, openLibrary(t, folder))

	sum := sha256.New()
	for _, name := range []string{
		"model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.onnx",
		"tokenizer/merges.txt", "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json", "tokenizer/vocab.json",
		"unet/config.json", "unet/model.onnx", "unet/model.onnx_data", "vae_decoder/config.json", "vae_decoder/model.onnx",
		"vae_encoder/config.json", "vae_encoder/model.onnx",
	} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%x  %s\n", sha256.Sum256(data), name)
	}
	if want := fmt.Sprintf("%x", sum.Sum(nil)); before != want {
		t.Errorf("the digest is %s, want %s", before, want)
	}

	write(t, filepath.Join(folder, "README.md"), "prose")
	write(t, filepath.Join(folder, "darkroom.json"), `{"steps": 9}`)
	write(t, filepath.Join(folder, "unet", ".cache"), "hidden")
	write(t, filepath.Join(folder, "unet", "diffusion_pytorch_model.safetensors"), "another format")
	write(t, filepath.Join(folder, "safety_checker", "model.onnx"), "not used")
	if after := digest(t, openLibrary(t, folder)); after != before {
		t.Error("files that shape no picture change the digest")
	}
	write(t, filepath.Join(folder, "unet", "model.onnx_data"), "other weights")
	if after := digest(t, openLibrary(t, folder)); after == before {
		t.Error("other weights have the same digest")
	}
}

// TestUnreadablePart is an error, and no digest of all the others.
func TestUnreadablePart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "sd")
	before := digest(t, openLibrary(t, folder))
	write(t, filepath.Join(folder, "tokenizer_2"), "a file is no part")
	if digest(t, openLibrary(t, folder)) != before {
		t.Error("a file that is called like a part changes the digest")
	}
	if err := os.Symlink("text_encoder_2", filepath.Join(folder, "text_encoder_2")); err != nil {
		t.Skip(err)
	}
	_, err := openLibrary(t, folder).Model("tiny")
	expect(t, err, "listing "+filepath.Join(folder, "text_encoder_2"), "too many")
}

// TestDigestsAreRemembered holds that unchanged files aren't read again, in
// this process or the next.
func TestDigestsAreRemembered(t *testing.T) {
	folder, cache := filepath.Join(t.TempDir(), "tiny"), t.TempDir()
	layModel(t, folder, "sd")
	open := func() *pipeline.Library {
		library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{folder}, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		return library
	}
	library := open()
	before := digest(t, library)

	// Other bytes of the same size and time can't be told from the old ones
	// without reading them.
	path := filepath.Join(folder, "unet", "model.onnx")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Repeat("x", int(info.Size())))
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if digest(t, library) != before || digest(t, open()) != before {
		t.Error("a file was read again though its size and time hadn't changed")
	}
	if err := os.Remove(filepath.Join(cache, "digests.json")); err != nil {
		t.Fatal(err)
	}
	if digest(t, open()) == before {
		t.Error("the digest didn't come from the file that remembers")
	}
	write(t, filepath.Join(cache, "digests.json"), "{damaged")
	if _, err := open().Model("tiny"); err != nil {
		t.Errorf("with a damaged cache: %v", err)
	}
}

func TestPinnedModels(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "sd")
	library := openLibrary(t, folder)
	whole := digest(t, library)
	for _, ref := range []string{"tiny@" + whole[:6], "tiny@" + strings.ToUpper(whole[:12]), "tiny@" + whole} {
		if _, err := library.Model(ref); err != nil {
			t.Error(err)
		}
	}
	for _, ref := range []string{"tiny@", "tiny@000000000"} {
		if _, err := library.Model(ref); !errors.Is(err, pipeline.ErrNoModel) || !strings.Contains(err.Error(), whole) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// TestBadModels holds that each fault names the model, the place and what
// would be right.
func TestBadModels(t *testing.T) {
	change := func(file, from, to string) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			path := filepath.Join(folder, file)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), from) {
				t.Fatalf("%s has no %s", file, from)
			}
			write(t, path, strings.Replace(string(data), from, to, 1))
		}
	}
	remove := func(files ...string) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			for _, file := range files {
				if err := os.Remove(filepath.Join(folder, file)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, folder string)
		want  []string
	}{
		"a part is missing": {remove("unet/model.onnx", "tokenizer/merges.txt"), []string{"lacks tokenizer/merges.txt, unet/model.onnx"}},
		"PyTorch weights": {func(t *testing.T, f string) {
			remove("unet/model.onnx")(t, f)
			write(t, f+"/unet/diffusion_pytorch_model.safetensors", "")
		}, []string{"optimum-cli export onnx --model"}},
		"half an SDXL":         {change("model_index.json", `"unet"`, `"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "unet"`), []string{"lacks tokenizer_2/vocab.json", "text_encoder_2/model.onnx"}},
		"SDXL's refiner":       {change("model_index.json", `"text_encoder"`, `"text_encoder_2"`), []string{"model_index.json", "refiner", "not built yet"}},
		"a transformer":        {change("model_index.json", `"unet"`, `"transformer": ["diffusers", "SD3Transformer2DModel"], "unet"`), []string{"model_index.json", "not built yet"}},
		"an upscaler":          {change("unet/config.json", `"in_channels": 4`, `"in_channels": 7`), []string{"unet/config.json", "upscaling", "num_class_embeds"}},
		"other channels":       {change("unet/config.json", `"in_channels": 4`, `"in_channels": 5`), []string{"unet/config.json", "in_channels is 5", "4"}},
		"layers below zero":    {change("unet/config.json", `"layers_per_block": 1`, `"layers_per_block": [2, -1]`), []string{"unet/config.json", "layers_per_block is [2 -1]", "from 1 to 64"}},
		"half a layer":         {change("unet/config.json", `"layers_per_block": 1`, `"layers_per_block": 1.5`), []string{"unet/config.json", "layers_per_block is 1.5"}},
		"widths below zero":    {change("unet/config.json", `"block_out_channels": [`, `"block_out_channels": [-8,`), []string{"unet/config.json", "block_out_channels is [-8"}},
		"a tower of a VAE":     {change("vae_decoder/config.json", `"block_out_channels": [`, `"block_out_channels": [`+strings.Repeat("8,", 70)), []string{"vae_decoder/config.json", "up to 16 levels"}},
		"vectors below zero":   {change("unet/config.json", `"time_cond_proj_dim": null`, `"time_cond_proj_dim": -4`), []string{"unet/config.json", "time_cond_proj_dim is -4"}},
		"no JSON":              {change("unet/config.json", `{`, `[`), []string{"unet/config.json"}},
		"no VAE":               {change("vae_decoder/config.json", `"latent_channels": 4`, `"latent_channels": 0`), []string{"vae_decoder/config.json", "AutoencoderKL"}},
		"an odd darkroom.json": {func(t *testing.T, f string) { write(t, f+"/darkroom.json", `{"stesp": 3}`) }, []string{"darkroom.json", "stesp", "want width, height, steps and guidance_scale"}},
		"too many steps":       {func(t *testing.T, f string) { write(t, f+"/darkroom.json", `{"steps": 0}`) }, []string{"darkroom.json", "steps is 0", "1 to 1000"}},
		"an odd size":          {func(t *testing.T, f string) { write(t, f+"/darkroom.json", `{"width": 72}`) }, []string{"72x64", "multiple of 16"}},
		"texts too wide":       {change("text_encoder/config.json", `"hidden_size": 16`, `"hidden_size": 1000000000`), []string{"text_encoder/config.json", "hidden_size is 1000000000", "at most 65536"}},
		"latents too deep":     {change("vae_decoder/config.json", `"latent_channels": 4`, `"latent_channels": 70000`), []string{"vae_decoder/config.json", "latent_channels is 70000"}},
		"vectors too wide":     {change("unet/config.json", `"time_cond_proj_dim": null`, `"time_cond_proj_dim": 70000`), []string{"unet/config.json", "time_cond_proj_dim is 70000"}},
		"widths too wide":      {change("unet/config.json", `"block_out_channels": [`, `"block_out_channels": [70000,`), []string{"unet/config.json", "block_out_channels is [70000", "1 to 65536"}},
		"a giant":              {change("unet/config.json", `"sample_size": 8`, `"sample_size": 1e9`), []string{"8000000000x8000000000", "more than the 8192"}},
		"an odd scheduler":     {change("scheduler/scheduler_config.json", `"beta_start": 0.00085`, `"beta_start": "low"`), []string{"scheduler", "beta_start"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "tiny")
			layModel(t, folder, "sd")
			c.spoil(t, folder)
			_, err := openLibrary(t, folder).Model("tiny")
			expect(t, err, append(c.want, `model "tiny"`)...)
		})
	}
}

func TestUnknownModels(t *testing.T) {
	folder := t.TempDir()
	layModel(t, filepath.Join(folder, "tiny"), "sd")
	write(t, filepath.Join(folder, "old.ckpt"), "")
	write(t, filepath.Join(folder, "single.safetensors"), "")
	write(t, filepath.Join(folder, "notes", "notes.txt"), "")
	library := openLibrary(t, folder)
	for name, want := range map[string]string{
		"tinny":              `did you mean "tiny"?`,
		"something else":     "there is single, tiny",
		"old":                "pickle",
		"old.ckpt":           "pickle",
		"single.safetensors": `without its extension, "single"`,
		"notes":              "no model.onnx",
	} {
		_, err := library.Model(name)
		expect(t, err, fmt.Sprintf("%q", name), folder, want)
		if !errors.Is(err, pipeline.ErrNoModel) {
			t.Errorf("%v is no ErrNoModel", err)
		}
	}
	if _, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{filepath.Join(folder, "nowhere")}}); err == nil {
		t.Error("a models folder that isn't there goes unnoticed")
	}
}

func digest(t *testing.T, library *pipeline.Library) string {
	t.Helper()
	m, err := library.Model("tiny")
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest
}

// expect holds that err says all the words.
func expect(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it goes unnoticed")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q doesn't say %q", err, word)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestModelIndexes reads what optimum and older scripts write for parts.
func TestModelIndexes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "sd")
	index := map[string]any{"_class_name": "ORTStableDiffusionPipeline", "text_encoder_2": []any{nil, nil}, "transformer": nil, "requires_safety_checker": true}
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "model_index.json"), string(data))
	if _, err := openLibrary(t, folder).Model("tiny"); err != nil {
		t.Error(err)
	}
}
