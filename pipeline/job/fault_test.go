package job_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// What is wrong with a line, each fault on a line of its own. A line whose
// JSON is malformed has one that comes last.
var faulty = []struct{ line, want string }{
	{`{"sampler": "eular"}`, "`sampler`: unknown name `eular`, did you mean `euler`?"},
	{`{"stepz": 20}`, "`stepz`: unknown field, did you mean `steps`?"},
	{`{"cfg_scale": 7}`, "`cfg_scale`: unknown field, it is called `guidance_scale` here"},
	{`{"negative": "x"}`, "`negative`: unknown field, did you mean `negative_prompt`?"},
	{`{"prompt": "a", "steps": 0, "width": 9000, "sampler": "DPM++ 2S a", "seeds": 3}`,
		"`steps`: out of range: `0`, want a whole number from 1 to 1000\n" +
			"`width`: out of range: `9000`, want a whole number from 1 to 8192\n" +
			"`seeds`: unknown field, did you mean `seed`?\n" +
			"`sampler`: `DPM++ 2S a`: the ancestral DPM++ 2S is not built; dpmpp_2s is another, deterministic algorithm"},

	// types
	{`{"steps": "20"}`, "`steps`: wrong type: `\"20\"`, want a whole number from 1 to 1000"},
	{`{"steps": 20.5}`, "`steps`: not a whole number: `20.5`, want a whole number from 1 to 1000"},
	{`{"steps": 2e1}`, "`steps`: not a whole number: `2e1`, want a whole number from 1 to 1000"},
	{`{"steps": null}`, "`steps`: wrong type: `null`, want a whole number from 1 to 1000"},
	{`{"prompt": ["a", {"b": 1}]}`, "`prompt`: wrong type: `[\"a\", {\"b\": 1}]`, want a string"},
	{`{"prompt": null}`, "`prompt`: wrong type: `null`, want a string"},
	{`{"negative_prompt": 1}`, "`negative_prompt`: wrong type: `1`, want a string, or null for none"},
	{`{"guidance_scale": "high"}`, "`guidance_scale`: wrong type: `\"high\"`, want a number from 0 to 100"},
	{`{"labels": []}`, "`labels`: wrong type: `[]`, want an object of strings, numbers, true, false and null"},
	{`{"labels": {"a": {"b": 1}, "c": [1]}}`, "`labels.a`: wrong type: `{\"b\": 1}`, want a string, a number, true, false or null\n" +
		"`labels.c`: wrong type: `[1]`, want a string, a number, true, false or null"},

	{`{"steps": "` + strings.Repeat("é", 90) + `"}`, "`steps`: wrong type: `\"" + strings.Repeat("é", 29) + "…`, want a whole number from 1 to 1000"},

	// limits
	{`{"seed": 18446744073709551616}`, "`seed`: out of range: `18446744073709551616`, want a whole number from 0 to 18446744073709551615"},
	{`{"seed": -1}`, "`seed`: out of range: `-1`, want a whole number from 0 to 18446744073709551615"},
	{`{"n": 10001}`, "`n`: out of range: `10001`, want a whole number from 1 to 10000"},
	{`{"n": 2, "seed": 18446744073709551615}`, "`seed`: too large `18446744073709551615`, 2 pictures need seeds up to 2^64-1"},
	{`{"guidance_scale": 100.5}`, "`guidance_scale`: out of range: `100.5`, want a number from 0 to 100"},
	{`{"guidance_scale": 1e999}`, "`guidance_scale`: out of range: `1e999`, want a number from 0 to 100"},
	{`{"guidance_rescale": -0.1, "eta": 2, "clip_skip": 101}`, "`guidance_rescale`: out of range: `-0.1`, want a number from 0 to 1\n" +
		"`eta`: out of range: `2`, want a number from 0 to 1\n`clip_skip`: out of range: `101`, want a whole number from 0 to 100"},
	{`{"guidance_start": 0.8, "guidance_end": 0.2}`, "`guidance_start`: guidance that starts at 0.8 and ends at 0.2, want `guidance_start` <= `guidance_end`"},
	{`{"guidance_start": 0.8, "guidance_end": 5}`, "`guidance_end`: out of range: `5`, want a number from 0 to 1"},
	{`{"kind": "edit", "image": "a", "mask": "/", "mask_blur": 1}`, "`mask`: not allowed: `/`, want the path of a file in the batch file's folder"},
	{`{"id": "` + strings.Repeat("x", 99) + `", "n": 2}`, "`id`: too long `" + strings.Repeat("x", 99) + "`, with the numbers of 2 pictures it has 101 characters, want at most 100"},
	{`{"id": "a b"}`, "`id`: not allowed: `a b`, want 1 to 100 of A-Z, a-z, 0-9, dot, underscore and hyphen"},
	{`{"id": ""}`, "`id`: empty, want 1 to 100 of A-Z, a-z, 0-9, dot, underscore and hyphen"},
	{`{"format": "gif"}`, "`format`: unknown name `gif`, want one of png, jpeg, npy"},
	{`{"format": "jpg"}`, "`format`: unknown name `jpg`, did you mean `jpeg`?"},
	{`{"kind": "genrate"}`, "`kind`: unknown name `genrate`, did you mean `generate`?"},
	{`{"model": "../secret"}`, "`model`: not allowed: `../secret`, want " + wantModel},
	{`{"model": "house@xyz1"}`, "`model`: not allowed: `house@xyz1`, want " + wantModel},
	{`{"sampler": ""}`, "`sampler`: empty, want a sampler's name"},
	{`{"sampler": "ddim", "schedule": "karras"}`, "`schedule`: ddim takes no schedule `karras`, want none, or `normal`"},
	{`{"sampler": "DPM++ 2M Karras", "schedule": "beta"}`, "`schedule`: not the one in the sampler's name: `beta`, want `karras`, or leave it out"},

	// twice
	{`{"steps": 20, "steps": 20}`, "`steps`: given twice"},
	{`{"steps": 20, "st\u0065ps": 20}`, "`steps`: given twice"},
	{`{"labels": {"a": 1, "a": 1}}`, "`labels.a`: given twice"},
	{`{"loras": [{"name": "x", "name": "y"}]}`, "`loras[0].name`: given twice"},

	// the kinds, and what is not built yet
	{`{"image": "a.png"}`, "`image`: out of place in a generate, it is for an edit or an upscale"},
	{`{"kind": "edit"}`, "`image`: missing in an edit, want the path of a file in the batch file's folder"},
	{`{"kind": "edit", "image": "a.png", "mask_blur": 2}`, "`mask_blur`: out of place without a mask, want `mask` or `extend` beside it"},
	{`{"kind": "edit", "image": "a.png", "extend": {"left": 0}}`, "`extend`: nothing is painted, want at least one side above 0"},
	{`{"kind": "edit", "image": "a.png", "extend": {"left": -1}}`, "`extend.left`: out of range: `-1`, want a whole number from 0 to 8192"},
	{`{"kind": "edit", "image": "a.png", "mask": "b.png", "keep_unmasked": true, "format": "npy"}`, "`keep_unmasked`: out of place with the format `npy`, a latent has no pixels that could be put back"},
	{`{"kind": "edit", "image": "a.png", "strength": 0}`, "`strength`: out of range: `0`, want a number from 0.001 to 1"},
	{`{"mask": "a.png", "strength": 0.5}`, "`mask`: out of place in a generate, it is for an edit\n`strength`: out of place in a generate, it is for an edit"},
	{`{"kind": "upscale", "image": "../a.png", "width": 64}`, "`image`: not allowed: `../a.png`, want the path of a file in the batch file's folder\n" +
		"`width`: out of place in an upscale, `scale` says how large"},
	{`{"kind": "video"}`, "`kind`: not built yet: `video`"},
	{`{"control": [{"model": "canny"}, {"model": "canny", "image": "a", "start": 0.9, "end": 0.1}]}`, "`control[0].image`: missing\n" +
		"`control[1]`: control that ends before it starts, want `start` <= `end`"},
	{`{"control": [{"modle": "canny", "model": "canny", "image": "/etc/passwd", "preprocess": "cany"}]}`, "`control[0].modle`: unknown field, did you mean `model`?\n" +
		"`control[0].image`: not allowed: `/etc/passwd`, want the path of a file in the batch file's folder\n" +
		"`control[0].preprocess`: unknown name `cany`, did you mean `canny`?"},
	{`{"prompt_syntax": "a1111", "embeddings": ["a"], "upscale": {"scale": 2}}`, "`upscale.model`: missing"},
	{`{"upscale": {"model": "large", "scale": 17}, "format": "npy"}`, "`upscale.scale`: out of range: `17`, want a number from 1 to 16\n" +
		"`upscale`: out of place with the format `npy`, a latent has no pixels that could be enlarged"},
	{`{"kind": "upscale", "noise_level": 351, "upscale": {"model": "large"}}`, "`noise_level`: out of range: `351`, want a whole number from 0 to 350\n" +
		"`upscale`: out of place in an upscale, it is for a generate or an edit\n`image`: missing in an upscale, want the path of a file in the batch file's folder"},

	// JSON
	{``, "malformed JSON at byte 1: it ends too early, want a JSON object in braces"},
	{`[]`, "malformed JSON at byte 1: '[', want a JSON object in braces"},
	{`{"steps": 20`, "malformed JSON at byte 13: it ends too early, want ',' or '}'"},
	{`{"steps": 20} {}`, "malformed JSON at byte 15: '{', want nothing behind the job's closing brace"},
	{`{"steps": 20,}`, "malformed JSON at byte 14: '}', want a field's name in double quotes"},
	{`{'steps': 20}`, "malformed JSON at byte 2: '\\'', want a field's name in double quotes"},
	{`{"steps" 20}`, "malformed JSON at byte 10: '2', want ':' behind a field's name"},
	{`{"steps": 020}`, "malformed JSON at byte 12: a number begins with 0"},
	{`{"steps": NaN}`, "malformed JSON at byte 11: 'N', want a value"},
	{`{"guidance_scale": -Infinity}`, "malformed JSON at byte 21: 'I', want a digit"},
	{`{"prompt": "a` + "\n" + `b"}`, "malformed JSON at byte 14: control character '\\n' in a string, want it escaped"},
	{`{"prompt": "\x41"}`, `malformed JSON at byte 13: unknown escape \x`},
	{`{"prompt": "\ud83d"}`, "malformed JSON at byte 13: half a surrogate pair"},
	{`{"prompt": "\ud83dA"}`, "malformed JSON at byte 13: half a surrogate pair"},
	{"{\"prompt\": \"a\xffb\"}", "byte 14, 0xff, is not UTF-8, save the file as UTF-8"},
	{`{"id": ` + strings.Repeat("[", 200) + `}`, "malformed JSON at byte 108: nested more than 100 deep"},
}

func TestFaults(t *testing.T) {
	for _, test := range faulty {
		_, faults := job.Decode([]byte(test.line))
		var lines []string
		for _, fault := range faults {
			lines = append(lines, fault.Error())
		}
		got := strings.Join(lines, "\n")
		if got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.line, got, test.want)
		}
		if err := faults.Err(); err == nil || err.Error() != strings.Join(lines, "; ") {
			t.Errorf("%s: as an error it is %v", test.line, err)
		}
	}
}

func TestLongLine(t *testing.T) {
	line := []byte(`{"prompt": "` + strings.Repeat("x", job.MaxLine-14) + `"}`)
	if _, faults := job.Decode(line); faults != nil {
		t.Errorf("a line of %d bytes: %v", len(line), faults)
	}
	_, faults := job.Decode(append(line, ' '))
	if want := "a line of 1048577 bytes, want at most 1 MiB"; faults.Error() != want {
		t.Errorf("a line of a byte more: %v, want %s", faults, want)
	}
}

// What is wrong in view of the model is told even where more is wrong.
func TestResolveFaults(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`{"width": 500, "height": 31}`, "`width`: 500 is no multiple of 32, which this model takes, want 480 or 512\n" +
			"`height`: 31 is no multiple of 32, which this model takes, want 32"},
		{`{"width": 8191}`, "`width`: 8191 is no multiple of 32, which this model takes, want 8160 or 8192"},
		{`{"clip_skip": 3}`, "`clip_skip`: out of range: `3`, want less than the text encoder's 3 layers"},
		{`{"sampler": "euler", "eta": 0.5}`, "`eta`: out of place with the sampler `euler`, it is for `ddim`"},
		{`{"eta": 0.5}`, "`eta`: out of place with the sampler `dpmpp_2m`, it is for `ddim`"},
		{`{"schedule": "karas"}`, "`schedule`: dpmpp_2m takes no schedule `karas`, want none, `normal` or one of karras, exponential, beta"},
		{`{"model": "house@0123", "steps": "x", "width": 500}`, "`width`: 500 is no multiple of 32, which this model takes, want 480 or 512"},
		{`{"sampler": "eular", "schedule": "karras", "eta": 0.5, "width": 500}`, "`width`: 500 is no multiple of 32, which this model takes, want 480 or 512"},
		{`{"model": "house@ffff"}`, "`model`: other weights than `house@ffff`, want `" + house.Ref() + "`"},
	} {
		spec, _ := job.Decode([]byte(test.line))
		_, faults := spec.Resolve(find(house))
		var lines []string
		for _, fault := range faults {
			lines = append(lines, fault.Error())
		}
		if got := strings.Join(lines, "\n"); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.line, got, test.want)
		}
	}
}

func TestDistilled(t *testing.T) {
	lcm := house
	lcm.Distilled = true
	for line, want := range map[string]int{
		`{"guidance_scale": 1}`: 0, `{"guidance_scale": 8.5}`: 0, `{"guidance_scale": 0.5}`: 1,
		`{"negative_prompt": "", "guidance_rescale": 0.5, "guidance_start": 0.1, "guidance_end": 0.9}`: 4,
	} {
		if _, faults := decode(t, line).Resolve(find(lcm)); len(faults) != want {
			t.Errorf("%s: %v, want %d faults", line, faults, want)
		}
	}
}

func TestFailureClass(t *testing.T) {
	cause := fmt.Errorf("no such thing")
	err := fmt.Errorf("rendering: %w", job.Bad(fmt.Errorf("reading: %w", cause)))
	if job.ClassOf(err) != job.BadJob || err.Error() != "rendering: reading: no such thing" {
		t.Errorf("%v has the class %q", err, job.ClassOf(err))
	}
	if job.ClassOf(cause) != "" || job.ClassOf(nil) != "" {
		t.Error("an error that nobody marked has a class")
	}
}

func TestModelWithoutASampler(t *testing.T) {
	foreign := house
	foreign.Sampler = ""
	_, faults := decode(t, `{}`).Resolve(find(foreign))
	if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "`sampler`: missing, this model's own scheduler is none of darkroom's samplers: name one of ddim, ") {
		t.Errorf("faults: %v", faults)
	}
	if _, faults := decode(t, `{"sampler": "euler"}`).Resolve(find(foreign)); faults != nil {
		t.Errorf("with a sampler: %v", faults)
	}
}

// What comes of a fault that was told already is not told as well.
func TestFaultsAnd(t *testing.T) {
	for line, want := range map[string]string{
		`{"loras": [{"scale": 2}]}`:                         "`loras[0].name`: missing",
		`{"loras": ["sepia"], "width": 31}`:                 "`loras[0]`: wrong type: `\"sepia\"`, want an object with name, scale; `width`: 31 is no multiple of 32, which this model takes, want 32",
		`{"upscale": {"model": 5}}`:                         "`upscale.model`: wrong type: `5`, want " + wantModel,
		`{"embeddings": [5, "unknown"]}`:                    "`embeddings[0]`: wrong type: `5`, want " + wantModel + "; `embeddings[1]`: no such model",
		`{"control": [{"model": "../x", "image": "a"}, 5]}`: "`control[0].model`: not allowed: `../x`, want " + wantModel + "; `control[1]`: wrong type: `5`, want an object with model, image, scale, start, end, preprocess, guess_mode",
		`{"control": [{"image": "a"}]}`:                     "`control[0].model`: missing, want a ControlNet's name",
	} {
		spec, faults := job.Decode([]byte(line))
		_, more := spec.Resolve(func(ref string) (job.Model, error) {
			if ref != job.DefaultModel {
				return job.Model{}, errors.New("no such model")
			}
			return house, nil
		})
		if got := faults.And(more).Error(); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}

const wantModel = "a name in the model library, or name@ and 4 to 64 of the digits 0-9 a-f of its digest"
