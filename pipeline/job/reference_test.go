package job_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// further are models beside the house.
var further = []job.Model{
	house,
	{Name: "edges", Digest: strings.Repeat("e", 64), Kind: job.ControlNetModel, TextWidth: 128, Channels: 8},
	{Name: "edges15", Digest: strings.Repeat("15", 32), Kind: job.ControlNetModel, TextWidth: 768, Channels: 4},
	{Name: "edges4", Digest: strings.Repeat("4", 64), Kind: job.ControlNetModel, TextWidth: 128, Channels: 4},
	{Name: "sepia", Digest: strings.Repeat("5e", 32), Kind: job.LoRAModel, TextWidth: 128, Parts: []string{"unet"}},
	{Name: "outline", Digest: strings.Repeat("0", 64), Kind: job.LoRAModel, TextWidth: 128, EncoderWidths: []int{128}, Parts: []string{"text_encoder", "unet"}},
	{Name: "style15", Digest: strings.Repeat("51", 32), Kind: job.LoRAModel, TextWidth: 768, Parts: []string{"unet"}},
	{Name: "stylexl", Digest: strings.Repeat("52", 32), Kind: job.LoRAModel, EncoderWidths: []int{0, 1280}, Parts: []string{"text_encoder_2"}},
	{Name: "words15", Digest: strings.Repeat("53", 32), Kind: job.LoRAModel, EncoderWidths: []int{768}, Parts: []string{"text_encoder"}},
	{Name: "gem", Digest: strings.Repeat("9e", 32), Kind: job.EmbeddingModel, Token: "<gem>", Vectors: 2, EncoderWidths: []int{128}},
	{Name: "jewel", Digest: strings.Repeat("1e", 32), Kind: job.EmbeddingModel, Token: "<gem>", Vectors: 1, EncoderWidths: []int{128}},
	{Name: "cat15", Digest: strings.Repeat("ca", 32), Kind: job.EmbeddingModel, Token: "<cat>", Vectors: 1, EncoderWidths: []int{768}},
	{Name: "catxl", Digest: strings.Repeat("cb", 32), Kind: job.EmbeddingModel, Token: "<cat>", Vectors: 1, EncoderWidths: []int{128, 128}},
	{Name: "large", Digest: strings.Repeat("1a", 32), Kind: job.UpscalerModel, Scale: 4},
	fused,
}

// fused is a model whose UNet holds two ControlNets.
var fused = func() job.Model {
	m := house
	m.Name, m.Digest, m.Controls = "fused", strings.Repeat("f", 64), 2
	return m
}()

// TestFusedControls resolves ControlNets that a model holds, with and without
// its name: the key is the same.
func TestFusedControls(t *testing.T) {
	key := func(line string) job.Key {
		t.Helper()
		spec, faults := job.Decode([]byte(line))
		if faults == nil {
			spec, faults = spec.Resolve(find(further...))
		}
		if faults != nil {
			t.Fatal(faults)
		}
		if len(spec.Control) == 0 || spec.Control[0].Model != fused.Ref() || len(spec.Models()) != 1 {
			t.Errorf("%s: %+v, models %v", line, spec.Control, spec.Models())
		}
		again, faults := spec.Resolve(find(further...))
		if faults != nil || again.Key() != spec.Key() {
			t.Errorf("resolved again: %v", faults)
		}
		return spec.Key()
	}
	one := key(`{"model": "fused", "control": [{"image": "a"}]}`)
	if one != key(`{"model": "fused", "control": [{"model": "fused", "image": "a", "preprocess": "none"}]}`) || one == key(`{"model": "fused", "control": [{"image": "b"}]}`) {
		t.Error("the key is another")
	}
}

// resolveAll resolves a line that may name all of them.
func resolveAll(t testing.TB, line string) job.Spec {
	t.Helper()
	spec, faults := decode(t, line).Resolve(find(further...))
	if faults != nil {
		t.Fatalf("%s: %v", line, faults)
	}
	return spec
}

const furtherLine = `{"control": [{"model": "edges", "image": "lines.png", "scale": 0.5, "end": 0.8, "preprocess": "canny"}, {"model": "edges@eeee", "image": "lines.png", "preprocess": "none"}],` +
	` "loras": [{"name": "sepia", "scale": 0.7}, {"name": "outline"}], "embeddings": ["gem"], "upscale": {"model": "large"}}`

// The canonical form of what a job names beside its model; it may never change.
func TestCanonicalReferences(t *testing.T) {
	spec, _ := job.Decode([]byte(furtherLine))
	spec, faults := spec.Locate(func(string) (job.Input, error) {
		return job.Input{Name: job.InputName(strings.Repeat("ab", 32), "png")}, nil
	})
	if faults == nil {
		spec, faults = spec.Resolve(find(further...))
	}
	if faults != nil {
		t.Fatal(faults)
	}
	digests := map[string]string{}
	pairs := []string{strings.Repeat("ab", 32), "IMAGE"}
	for _, m := range further {
		digests[m.Name] = m.Digest
		pairs = append(pairs, m.Digest, strings.ToUpper(m.Name))
	}
	want := `{"control":[{"end":0.8,"image":"IMAGE","model":"EDGES","preprocess":"canny","scale":0.5},{"image":"IMAGE","model":"EDGES"}],` +
		`"embeddings":[{"model":"GEM","name":"gem"}],"format":"png","guidance_scale":4,"height":128,"kind":"generate",` +
		`"loras":[{"model":"OUTLINE"},{"model":"SEPIA","scale":0.7}],"model":"HOUSE","prompt":"","sampler":"dpmpp_2m","seed":0,"steps":20,` +
		`"upscale":{"model":"LARGE","scale":4},"width":128}`
	if got := strings.NewReplacer(pairs...).Replace(string(spec.Canonical())); got != want {
		t.Errorf("the canonical form is\n%s\nwant\n%s", got, want)
	}
	named := map[string]string{}
	for _, name := range []string{"house", "edges", "sepia", "outline", "gem", "large"} {
		named[name] = digests[name]
	}
	if got := spec.Models(); !maps.Equal(got, named) {
		t.Errorf("the job names %v, want %v", got, named)
	}
	again, faults := spec.Resolve(find(further...))
	if faults != nil || !reflect.DeepEqual(again, spec) {
		t.Errorf("resolved again it is\n%+v %v, want\n%+v", again, faults, spec)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if read, _ := job.Decode(text); read.Key() != spec.Key() {
		t.Errorf("%s is read back as %+v", text, read)
	}
}

// What has no effect, and the order of what is added up, is not in the key.
func TestKeysOfLoRAs(t *testing.T) {
	key := func(line string) job.Key { return resolveAll(t, line).Key() }
	if key(`{"loras": [{"name": "sepia", "scale": 0}]}`) != key(`{}`) {
		t.Error("a LoRA of no strength changes the key")
	}
	if key(`{"loras": [{"name": "sepia"}, {"name": "outline"}]}`) != key(`{"loras": [{"name": "outline"}, {"name": "sepia", "scale": 1}]}`) {
		t.Error("the order of LoRAs changes the key")
	}
	if key(`{"loras": [{"name": "sepia"}]}`) == key(`{"loras": [{"name": "sepia", "scale": 0.5}]}`) {
		t.Error("a LoRA's strength is not in the key")
	}
}

func TestReferenceFaults(t *testing.T) {
	const family = ", it was made for another family of models"
	for line, want := range map[string]string{
		`{"model": "sepia"}`:                                                              "`model`: sepia is a LoRA, want a pipeline",
		`{"model": "large"}`:                                                              "`model`: large is an upscaler, want a pipeline",
		`{"loras": [{"name": "sepa"}]}`:                                                   "`loras[0].name`: no model sepa",
		`{"loras": [{"name": "gem"}]}`:                                                    "`loras[0].name`: gem is an embedding, want a LoRA",
		`{"embeddings": ["sepia"]}`:                                                       "`embeddings[0]`: sepia is a LoRA, want an embedding",
		`{"loras": [{"name": "sepia"}, {"name": "sepia"}]}`:                               "`loras[1].name`: sepia is there twice, want it once, with a `scale`",
		`{"loras": [{"name": "style15"}]}`:                                                "`loras[0].name`: style15 doesn't go with house: it is for tokens of 768 numbers, and the model's have 128" + family,
		`{"loras": [{"name": "words15"}]}`:                                                "`loras[0].name`: words15 doesn't go with house: it is for tokens of 768 numbers, and the model's have 128" + family,
		`{"loras": [{"name": "stylexl"}]}`:                                                "`loras[0].name`: stylexl doesn't go with house: it changes 2 text encoders, and the model has 1" + family,
		`{"embeddings": ["cat15"]}`:                                                       "`embeddings[0]`: cat15 doesn't go with house: it is for tokens of 768 numbers, and the model's have 128" + family,
		`{"embeddings": ["catxl"]}`:                                                       "`embeddings[0]`: catxl doesn't go with house: it has vectors for 2 text encoders, and the model has 1" + family,
		`{"embeddings": ["gem", "jewel"]}`:                                                "`embeddings[1]`: gem and jewel stand for the same word, <gem>, want one of them",
		`{"embeddings": ["gem", "gem"]}`:                                                  "`embeddings[1]`: gem is there twice, want it once",
		`{"control": [{"model": "sepia", "image": "a"}]}`:                                 "`control[0].model`: sepia is a LoRA, want a ControlNet",
		`{"control": [{"model": "edges15", "image": "a"}]}`:                               "`control[0].model`: edges15 doesn't go with house: it is for tokens of 768 numbers, and the model's have 128" + family,
		`{"control": [{"model": "edges4", "image": "a"}]}`:                                "`control[0].model`: edges4 doesn't go with house: it is for latents of 4 channels, and the model's have 8" + family,
		`{"control": [{"image": "a"}]}`:                                                   "`control[0].model`: missing, want a ControlNet's name",
		`{"model": "fused", "control": [{"model": "edges", "image": "a"}]}`:               "`control[0].model`: edges can't be used with fused, this model's UNet holds ControlNets (2 of them) and takes no others: leave the name out",
		`{"model": "fused", "control": [{"image": "a"}, {"image": "a"}, {"image": "a"}]}`: "`control[2]`: one too many, this model's UNet holds 2 ControlNets",
		`{"model": "fused", "control": [{"image": "a", "guess_mode": true}]}`:             "`control[0].guess_mode`: out of place, this model's UNet holds its ControlNets, which lead all rows alike",
		`{"upscale": {"model": "house"}}`:                                                 "`upscale.model`: house is a pipeline, want an upscaler",
		`{"kind": "upscale", "image": "a", "model": "sepia"}`:                             "`model`: sepia is a LoRA, want an upscaler, or a pipeline that upscales",
		`{"loras": [{"name": "sepia@ffff"}]}`:                                             "`loras[0].name`: other weights than `sepia@ffff`, want `sepia@" + strings.Repeat("5e", 32) + "`",
		`{"loras": [{"name": "outline"}], "embeddings": ["gem@9e9e"]}`:                    "",
	} {
		spec, _ := job.Decode([]byte(line))
		_, faults := spec.Resolve(find(further...))
		if got := faults.Error(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, want)
		}
	}
}
