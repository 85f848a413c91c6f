package job_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
	"pgregory.net/rapid"
)

// house is the model that the tests resolve their jobs with.
var house = job.Model{
	Name: "house", Digest: strings.Repeat("0123456789abcdef", 4),
	Width: 128, Height: 128, Multiple: 32,
	Steps: 20, GuidanceScale: 4, Sampler: "dpmpp_2m", TextLayers: 3, Encoder: true,
	TextWidth: 128, EncoderWidths: []int{128}, Channels: 8,
}

// find looks up models by their name.
func find(models ...job.Model) func(ref string) (job.Model, error) {
	return func(ref string) (job.Model, error) {
		name, _, _ := strings.Cut(ref, "@")
		i := slices.IndexFunc(models, func(m job.Model) bool { return m.Name == name })
		if i < 0 {
			return job.Model{}, fmt.Errorf("no model %s", name)
		}
		return models[i], nil
	}
}

func decode(t testing.TB, line string) job.Spec {
	t.Helper()
	spec, faults := job.Decode([]byte(line))
	if faults != nil {
		t.Fatalf("%s: %v", line, faults)
	}
	return spec
}

func resolve(t testing.TB, line string) job.Spec {
	t.Helper()
	spec, faults := decode(t, line).Resolve(find(house))
	if faults != nil {
		t.Fatalf("%s: %v", line, faults)
	}
	return spec
}

func expand(t testing.TB, spec job.Spec, seed uint64) []job.Spec {
	t.Helper()
	each, faults := spec.Expand(seed)
	if faults != nil {
		t.Fatal(faults)
	}
	return slices.Collect(each)
}

func TestDefaults(t *testing.T) {
	got, err := json.Marshal(resolve(t, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"generate","model":"` + house.Ref() + `","prompt":"","seed":0,"steps":20,"sampler":"dpmpp_2m",` +
		`"guidance_scale":4,"guidance_end":1,"width":128,"height":128,"format":"png"}`
	if string(got) != want {
		t.Errorf("an empty line is\n%s\nwant\n%s", got, want)
	}
}

// A zero that the line names is not a field that it leaves out.
func TestZeroIsGiven(t *testing.T) {
	spec := resolve(t, `{"guidance_scale": 0, "guidance_end": 0, "seed": 0}`)
	if spec.GuidanceScale != 0 || spec.GuidanceEnd != 0 || expand(t, spec, 7)[0].Seed != 0 {
		t.Errorf("the zeros became %+v", spec)
	}
	if spec = resolve(t, `{}`); spec.GuidanceScale != 4 || spec.GuidanceEnd != 1 || expand(t, spec, 7)[0].Seed != 7 {
		t.Errorf("what was left out became %+v", spec)
	}
}

func TestExpand(t *testing.T) {
	for _, test := range []struct {
		line  string
		seed  uint64
		ids   []string
		seeds []uint64
	}{
		{`{}`, 5, []string{""}, []uint64{5}},
		{`{"id":"a"}`, 5, []string{"a"}, []uint64{5}},
		{`{"id":"a","n":1,"seed":9}`, 5, []string{"a"}, []uint64{9}},
		{`{"id":"a","n":3}`, 5, []string{"a-0", "a-1", "a-2"}, []uint64{5, 6, 7}},
		{`{"n":2,"seed":18446744073709551614}`, 5, []string{"", ""}, []uint64{math.MaxUint64 - 1, math.MaxUint64}},
	} {
		var ids []string
		var seeds []uint64
		for _, one := range expand(t, resolve(t, test.line), test.seed) {
			ids, seeds = append(ids, one.ID), append(seeds, one.Seed)
			if one.N != 0 {
				t.Errorf("%s: n = %d is left", test.line, one.N)
			}
		}
		if !slices.Equal(ids, test.ids) || !slices.Equal(seeds, test.seeds) {
			t.Errorf("%s becomes %q %d, want %q %d", test.line, ids, seeds, test.ids, test.seeds)
		}
	}
	if _, faults := resolve(t, `{"n":2}`).Expand(math.MaxUint64); faults == nil {
		t.Error("a batch seed + 1 above 2^64-1 is no fault")
	}
}

// lines draws lines that are right for house, with what they must mean.
func drawSpec(t *rapid.T) job.Spec {
	spec := job.Spec{
		Kind: job.Generate, Model: "house",
		Prompt: rapid.String().Draw(t, "prompt"),
		Seed:   rapid.Uint64().Draw(t, "seed"),
		Steps:  rapid.IntRange(1, 1000).Draw(t, "steps"),
		Width:  32 * rapid.IntRange(1, 256).Draw(t, "width"), Height: 32 * rapid.IntRange(1, 256).Draw(t, "height"),
		Sampler:         rapid.SampledFrom([]string{"euler", "ddim", "dpmpp_2m"}).Draw(t, "sampler"),
		GuidanceScale:   rapid.Float64Range(0, 100).Draw(t, "guidance_scale"),
		GuidanceRescale: rapid.SampledFrom([]float64{0, .7}).Draw(t, "guidance_rescale"),
		GuidanceStart:   rapid.Float64Range(0, .5).Draw(t, "guidance_start"),
		GuidanceEnd:     rapid.Float64Range(.5, 1).Draw(t, "guidance_end"),
		ClipSkip:        rapid.IntRange(0, 2).Draw(t, "clip_skip"),
		ID:              rapid.StringMatching(`[A-Za-z0-9._-]{0,100}`).Draw(t, "id"),
		Format:          rapid.SampledFrom([]string{"png", "jpeg", "npy"}).Draw(t, "format"),
		NegativePrompt:  rapid.Ptr(rapid.String(), true).Draw(t, "negative_prompt"),
	}
	if spec.Sampler != "ddim" {
		spec.Schedule = rapid.SampledFrom([]string{"", "karras", "exponential", "beta"}).Draw(t, "schedule")
	} else {
		spec.Eta = rapid.Float64Range(0, 1).Draw(t, "eta")
	}
	if labels := rapid.MapOf(rapid.String(), rapid.SampledFrom([]any{"a", true, nil, json.Number("1.50"), json.Number("9007199254740993")})).Draw(t, "labels"); len(labels) > 0 {
		spec.Labels = labels
	}
	return spec
}

// A line of the manifest is read back to the same job, with the same key, and
// to resolve it again changes nothing.
func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		spec, faults := job.Decode(text)
		if faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
		if spec, faults = spec.Resolve(find(house)); faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
		line, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		again, faults := job.Decode(line)
		if faults != nil || !reflect.DeepEqual(spec, again) {
			t.Fatalf("%s\nis read back as\n%+v %v\nwant\n%+v", line, again, faults, spec)
		}
		if again, faults = again.Resolve(find(house)); faults != nil || !reflect.DeepEqual(spec, again) {
			t.Fatalf("resolved again it is\n%+v %v\nwant\n%+v", again, faults, spec)
		}
		if again.Key() != spec.Key() {
			t.Fatalf("%s: two keys", line)
		}
		var canonical map[string]any
		if err := json.Unmarshal(spec.Canonical(), &canonical); err != nil {
			t.Fatalf("the canonical form is no JSON: %v\n%s", err, spec.Canonical())
		}
		if canonical["prompt"] != spec.Prompt {
			t.Fatalf("the canonical prompt is %q, want %q", canonical["prompt"], spec.Prompt)
		}
	})
}

var benchLine = []byte(`{"id": "scene-0001234", "prompt": "a small red circle to the left of a large blue square on a yellow background", ` +
	`"negative_prompt": "blurry, grey", "seed": 1234567890123, "steps": 25, "sampler": "euler", "schedule": "karras", ` +
	`"guidance_scale": 4.5, "width": 128, "height": 128, "labels": {"split": "train", "n": 12}}`)

// BenchmarkLine is all that is done to a line of a batch of one model: read,
// resolve, expand, name, write.
func BenchmarkLine(b *testing.B) {
	b.ReportAllocs()
	find := find(house)
	for b.Loop() {
		spec, faults := job.Decode(benchLine)
		if faults != nil {
			b.Fatal(faults)
		}
		if spec, faults = spec.Resolve(find); faults != nil {
			b.Fatal(faults)
		}
		_ = spec.Key()
	}
}

func BenchmarkMarshal(b *testing.B) {
	spec := resolve(b, string(benchLine))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(spec); err != nil {
			b.Fatal(err)
		}
	}
}
