package job_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// upscalers are models that make pictures larger: two networks, one whose scale
// nobody knows, one that mends, and a pipeline.
var upscalers = []job.Model{
	house,
	{Name: "house-upscale", Digest: strings.Repeat("1a", 32), Kind: job.UpscalerModel, Scale: 4},
	{Name: "windows", Digest: strings.Repeat("2b", 32), Kind: job.UpscalerModel},
	{Name: "mender", Digest: strings.Repeat("3c", 32), Kind: job.UpscalerModel, Scale: 1},
	{Name: "x4", Digest: strings.Repeat("4d", 32), Scale: 4, NoiseLevels: 350, Width: 512, Height: 512, Multiple: 32, Steps: 75, GuidanceScale: 9, Sampler: "ddim", TextLayers: 23},
}

func upscale(line string) (job.Spec, job.Faults) {
	spec, faults := job.Decode([]byte(line))
	spec, unfound := spec.Locate(locate)
	spec, more := spec.Resolve(find(upscalers...))
	return spec, append(append(faults, unfound...), more...)
}

// What a line leaves out is filled in, read back from the manifest, and stays.
func TestUpscales(t *testing.T) {
	image := strings.Repeat("ab", 32)
	for line, want := range map[string]string{
		`{"kind": "upscale", "image": "photo.png"}`:                                                  `{"format":"png","image":"` + image + `","kind":"upscale","model":"` + strings.Repeat("1a", 32) + `","scale":4}`,
		`{"kind": "upscale", "image": "photo.png", "model": "windows", "seed": 7, "format": "jpeg"}`: `{"format":"jpeg","image":"` + image + `","kind":"upscale","model":"` + strings.Repeat("2b", 32) + `"}`,
		`{"kind": "upscale", "image": "photo.png", "model": "house-upscale@1a1a", "scale": 1.5}`:     `{"format":"png","image":"` + image + `","kind":"upscale","model":"` + strings.Repeat("1a", 32) + `","scale":1.5}`,
		`{"kind": "upscale", "image": "photo.png", "model": "x4", "prompt": "a cat"}`: `{"format":"png","guidance_scale":9,"image":"` + image + `","kind":"upscale","model":"` + strings.Repeat("4d", 32) +
			`","noise_level":20,"prompt":"a cat","sampler":"ddim","scale":4,"seed":0,"steps":75}`,
		`{"kind": "upscale", "image": "photo.png", "model": "x4", "noise_level": 0, "scale": 2, "guidance_scale": 0}`: `{"format":"png","image":"` + image + `","kind":"upscale","model":"` + strings.Repeat("4d", 32) +
			`","noise_level":0,"prompt":"","sampler":"ddim","scale":2,"seed":0,"steps":75}`,
		`{"upscale": {"model": "house-upscale"}}`: `{"format":"png","guidance_scale":4,"height":128,"kind":"generate","model":"` + house.Digest +
			`","prompt":"","sampler":"dpmpp_2m","seed":0,"steps":20,"upscale":{"model":"` + strings.Repeat("1a", 32) + `","scale":4},"width":128}`,
	} {
		spec, faults := upscale(line)
		if faults != nil {
			t.Errorf("%s: %v", line, faults)
			continue
		}
		if got := string(spec.Canonical()); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", line, got, want)
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		again, faults := job.Decode(text)
		if faults != nil || again.Key() != spec.Key() {
			t.Errorf("%s is read back as %+v %v", text, again, faults)
		}
		if twice, faults := again.Resolve(find(upscalers...)); faults != nil || !reflect.DeepEqual(twice, again) {
			t.Errorf("resolved again it is\n%+v %v, want\n%+v", twice, faults, again)
		}
	}
}

// A catalogue that says nothing of multiples is one that another made.
func TestEnlargedByNoMultiple(t *testing.T) {
	if width, height := (job.Model{Scale: 4}).Enlarged(30, 20); width != 120 || height != 80 {
		t.Errorf("%dx%d, want 120x80", width, height)
	}
}

func TestUpscaleFaults(t *testing.T) {
	const plain = ", house-upscale enlarges a picture without a prompt and without steps"
	for line, want := range map[string]string{
		`{"kind": "upscale"}`:                                                                                                 "`image`: missing in an upscale, want the path of a file in the batch file's folder",
		`{"kind": "upscale", "image": "none.png"}`:                                                                            "`image`: none.png: no such file",
		`{"kind": "upscale", "image": "photo.png", "model": "house"}`:                                                         "`model`: house is a pipeline, want an upscaler, or a pipeline that upscales",
		`{"model": "x4"}`:                                                                                                     "`model`: x4 only makes pictures larger, want a pipeline that paints, or `kind` upscale and an `image`",
		`{"kind": "edit", "image": "photo.png", "model": "mender"}`:                                                           "`model`: mender is an upscaler, want a pipeline",
		`{"upscale": {"model": "x4"}}`:                                                                                        "`upscale.model`: x4 is a pipeline, want an upscaler",
		`{"kind": "upscale", "image": "photo.png", "scale": 0.5}`:                                                             "`scale`: out of range: `0.5`, want a number from 1 to 16",
		`{"kind": "upscale", "image": "photo.png", "scale": 40}`:                                                              "`scale`: out of range: `40`, want a number from 1 to 16",
		`{"kind": "upscale", "image": "huge.png"}`:                                                                            "`scale`: 4 times as large, a picture of 4000x3000 pixels has 16000x12000, and at most 8192 to a side can be made",
		`{"kind": "upscale", "image": "huge.png", "model": "x4"}`:                                                             "`scale`: 4 times as large, a picture of 4000x3000 pixels has 16000x12000, and at most 8192 to a side can be made",
		`{"kind": "upscale", "image": "huge.png", "scale": 2}`:                                                                "",
		`{"kind": "upscale", "image": "tiny.png", "model": "x4"}`:                                                             "",
		`{"kind": "upscale", "image": "speck.png", "model": "x4"}`:                                                            "`image`: its width of 7 pixels is less than the 8 that this model takes at least",
		`{"kind": "upscale", "image": "photo.png", "scale": 2, "model": "mender"}`:                                            "`scale`: out of range: `2`, mender mends pictures, and makes none larger: want 1",
		`{"kind": "upscale", "image": "photo.png", "scale": 5, "model": "x4"}`:                                                "`scale`: out of range: `5`, this model makes pictures 4 times as wide: want at most that",
		`{"upscale": {"model": "mender", "scale": 2}}`:                                                                        "`upscale.scale`: out of range: `2`, mender mends pictures, and makes none larger: want 1",
		`{"width": 4096, "upscale": {"model": "house-upscale", "scale": 3}}`:                                                  "`upscale.scale`: 3 times as large, a picture of 4096x128 pixels has 12288x384, and at most 8192 to a side can be made",
		`{"kind": "upscale", "image": "photo.png", "prompt": "a cat", "steps": 3, "guidance_end": 0.5}`:                       "`prompt`: out of place" + plain + "; `steps`: out of place" + plain + "; `guidance_end`: out of place" + plain,
		`{"kind": "upscale", "image": "photo.png", "format": "npy"}`:                                                          "`format`: out of place `npy`, house-upscale has no latent",
		`{"kind": "edit", "image": "huge.png", "mask": "huge.png", "mask_padding": 8, "upscale": {"model": "house-upscale"}}`: "`upscale.scale`: 4 times as large, a picture of 4000x3000 pixels has 16000x12000, and at most 8192 to a side can be made",
	} {
		_, faults := upscale(line)
		if got := faults.Error(); got != want && !strings.HasPrefix(got, want+"; ") {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, want)
		}
	}
}
