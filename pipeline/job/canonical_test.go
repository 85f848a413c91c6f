package job_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// Keys name pictures on disk and in stores. None of these may ever change: a
// batch that was begun with an older darkroom would be rendered again.
var goldenKeys = []struct{ line, canonical, key string }{
	{`{}`,
		`{"format":"png","guidance_scale":4,"height":128,"kind":"generate","model":"DIGEST","prompt":"","sampler":"dpmpp_2m","seed":0,"steps":20,"width":128}`,
		"9e859854de0dcda4fd84bdee554a6a1736fda813cb6b6c9bd3e6369cc6c9c445"},
	{`{"prompt": "a red circle", "seed": 42}`,
		`{"format":"png","guidance_scale":4,"height":128,"kind":"generate","model":"DIGEST","prompt":"a red circle","sampler":"dpmpp_2m","seed":42,"steps":20,"width":128}`,
		"a7b8d28ba6a45c568a749c56b8e0d053e9200411d4b214f3acaefc9b30a19d4c"},
	{`{"prompt": "a \"red\" circle\\ \n\t\u0001 é ☃ </p>", "negative_prompt": "", "seed": 18446744073709551615}`,
		`{"format":"png","guidance_scale":4,"height":128,"kind":"generate","model":"DIGEST","negative_prompt":"","prompt":"a \"red\" circle\\ \n\t\u0001 é ☃ </p>","sampler":"dpmpp_2m","seed":18446744073709551615,"steps":20,"width":128}`,
		"c1d456b710a498f683e8c6b23260c927d76fa9ee2517db8b1e34bb264945daa6"},
	{`{"prompt": "x", "negative_prompt": "ugly", "guidance_scale": 0}`,
		`{"format":"png","height":128,"kind":"generate","model":"DIGEST","prompt":"x","sampler":"dpmpp_2m","seed":0,"steps":20,"width":128}`,
		"c8ada03480c457087e8360e6572853433bd12d16b866bfcdacbd95555510f188"},
	{`{"prompt": "x", "negative_prompt": "ugly", "guidance_scale": 7.5, "guidance_rescale": 0.7, "guidance_start": 0.1, "guidance_end": 0.85}`,
		`{"format":"png","guidance_end":0.85,"guidance_rescale":0.7,"guidance_scale":7.5,"guidance_start":0.1,"height":128,"kind":"generate","model":"DIGEST","negative_prompt":"ugly","prompt":"x","sampler":"dpmpp_2m","seed":0,"steps":20,"width":128}`,
		"78707ffd79648c43ecf26165a6a40ce55d43988ad8efb2c78ff2e8bec4f8357b"},
	{`{"sampler": "ddim", "eta": 1e-3, "clip_skip": 2, "steps": 1000, "width": 8192, "height": 32, "format": "npy"}`,
		`{"clip_skip":2,"eta":0.001,"format":"npy","guidance_scale":4,"height":32,"kind":"generate","model":"DIGEST","prompt":"","sampler":"ddim","seed":0,"steps":1000,"width":8192}`,
		"daa58696f2415c11a6e7b59704770fb8789472bd3fb183d7008f5aa0fdb4dbde"},
	{`{"sampler": "Euler a", "format": "jpeg", "guidance_scale": 100}`,
		`{"format":"jpeg","guidance_scale":100,"height":128,"kind":"generate","model":"DIGEST","prompt":"","sampler":"euler_ancestral","seed":0,"steps":20,"width":128}`,
		"53b4406f60152152bb63144cccc705e208b512b6db3e105a768093400c01dfa1"},
	{`{"sampler": "DPM++ 3M SDE Karras", "id": "a", "labels": {"b": 1}}`,
		`{"format":"png","guidance_scale":4,"height":128,"kind":"generate","model":"DIGEST","prompt":"","sampler":"dpmpp_3m_sde","schedule":"karras","seed":0,"steps":20,"width":128}`,
		"71a19c738338a62e70cb39601c6692c259cf07ce3f50608d42914ce9a68852a4"},
}

func TestGoldenKeys(t *testing.T) {
	for _, test := range goldenKeys {
		spec := resolve(t, test.line)
		if got := strings.ReplaceAll(string(spec.Canonical()), house.Digest, "DIGEST"); got != test.canonical {
			t.Errorf("%s\nhas the canonical form\n%s\nwant\n%s", test.line, got, test.canonical)
		}
		if got := spec.Key().String(); got != test.key {
			t.Errorf("%s has the key %s, want %s", test.line, got, test.key)
		}
		if spec.Key() != job.Key(sha256.Sum256(spec.Canonical())) || spec.Key().Short() != test.key[:12] {
			t.Errorf("%s: the key is not the SHA-256 of the canonical form", test.line)
		}
	}
}

// Lines of one group ask for the same picture, lines of two for two.
func TestSameKey(t *testing.T) {
	groups := [][]string{
		{`{}`, `{"kind": "generate", "model": "house", "prompt": "", "seed": 0, "steps": 20, "sampler": "dpmpp_2m", "schedule": "normal", "format": "png"}`,
			`{"sampler": "DPM++ 2M", "guidance_scale": 4.0, "guidance_rescale": 0, "eta": 0, "clip_skip": 0, "guidance_start": 0, "guidance_end": 1}`,
			`{"id": "a", "labels": {"b": 1}, "n": 1, "width": 128, "model": "house@0123456789", "prompt_syntax": "plain", "negative_prompt": null, "loras": []}`},
		{`{"guidance_scale": 0}`, `{"guidance_scale": 1}`, `{"guidance_scale": 0.5, "negative_prompt": "ugly", "guidance_rescale": 0.7, "guidance_start": 0.5}`,
			`{"guidance_start": 0.5, "guidance_end": 0.5}`, `{"guidance_end": 0}`},
		{`{"negative_prompt": ""}`},
		{`{"negative_prompt": "ugly"}`},
		{`{"schedule": "karras"}`, `{"sampler": "DPM++ 2M Karras"}`, `{"sampler": "k_dpmpp_2m", "schedule": "Karras"}`},
		{`{"sampler": "ddim"}`, `{"sampler": "DDIM", "eta": -0.0}`},
		{`{"sampler": "ddim", "eta": 1}`},
		{`{"guidance_rescale": 0.7}`}, {`{"guidance_start": 0.2}`}, {`{"guidance_end": 0.8}`}, {`{"guidance_scale": 4.5}`},
		{`{"clip_skip": 1}`}, {`{"prompt_syntax": "a1111"}`}, {`{"format": "jpeg"}`}, {`{"format": "npy"}`}, {`{"seed": 1}`}, {`{"steps": 21}`},
		{`{"width": 160}`}, {`{"height": 160}`}, {`{"prompt": " "}`}, {`{"prompt": "é"}`, `{"prompt": "\u00e9"}`}, {`{"prompt": "e\u0301"}`},
	}
	seen := map[job.Key]string{}
	for _, group := range groups {
		key := resolve(t, group[0]).Key()
		if other, ok := seen[key]; ok {
			t.Errorf("%s has the key of %s", group[0], other)
		}
		seen[key] = group[0]
		for _, line := range group[1:] {
			if resolve(t, line).Key() != key {
				t.Errorf("%s has another key than %s", line, group[0])
			}
		}
	}
	other := house
	other.Name = "cottage"
	renamed, faults := decode(t, `{"model": "cottage"}`).Resolve(find(other))
	if faults != nil || renamed.Key() != resolve(t, `{}`).Key() {
		t.Errorf("a model's name is in the key: %v", faults)
	}
}

// Every field that a line may have is in the canonical form, or is known to
// be no part of it: nobody can add one and forget it.
func TestCanonicalHasAllFields(t *testing.T) {
	var canonical map[string]json.RawMessage
	full := resolve(t, `{"kind": "edit", "image": "a", "mask": "b", "mask_blur": 1, "mask_padding": 1, "keep_unmasked": true, "extend": {"left": 1, "top": 2}, "prompt": "a", "negative_prompt": "b", "sampler": "ddim", "eta": 1, "clip_skip": 1, "guidance_scale": 2, "guidance_rescale": 0.1, "guidance_start": 0.1, "guidance_end": 0.9, "prompt_syntax": "a1111"}`)
	full.Control = []job.Control{{Model: "a@b", Image: "c", End: 1}}
	full.Schedule = "karras" // which goes with no sampler that takes eta
	if err := json.Unmarshal(full.Canonical(), &canonical); err != nil {
		t.Fatal(err)
	}
	adapted := resolveAll(t, `{"loras": [{"name": "sepia"}], "embeddings": ["gem"]}`)
	if err := json.Unmarshal(adapted.Canonical(), &canonical); err != nil {
		t.Fatal(err)
	}
	upscale := job.Spec{Kind: job.Upscale, Model: house.Ref(), Scale: 2, NoiseLevel: new(3), Upscale: &job.Upscaling{Model: house.Ref()}}
	if err := json.Unmarshal(upscale.Canonical(), &canonical); err != nil {
		t.Fatal(err)
	}
	carried := []string{"id", "n", "labels"}
	for field := range reflect.TypeFor[job.Spec]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := canonical[name]; !ok && field.IsExported() && !slices.Contains(carried, name) {
			t.Errorf("%s is not in the canonical form", name)
		}
	}
	if keys := sortedKeys(full.Canonical()); !slices.IsSorted(keys) {
		t.Errorf("the canonical form's keys are not in order: %q", keys)
	}
}

// sortedKeys returns an object's keys as they stand there.
func sortedKeys(object []byte) (keys []string) {
	for dec := json.NewDecoder(bytes.NewReader(object[1:])); dec.More(); {
		key, err := dec.Token()
		if err != nil {
			return keys
		}
		keys = append(keys, key.(string))
		dec.Token()
	}
	return keys
}
