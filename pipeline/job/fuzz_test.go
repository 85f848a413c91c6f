package job_test

import (
	"bytes"
	"encoding/json"
	"iter"
	"reflect"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// plain is a Spec that encoding/json reads by itself.
type plain job.Spec

// FuzzDecode holds the decoder against encoding/json: what it takes,
// encoding/json takes, with the same values, and what it gave back is a line
// that means the same.
func FuzzDecode(f *testing.F) {
	for _, test := range faulty {
		f.Add([]byte(test.line))
	}
	for _, test := range goldenKeys {
		f.Add([]byte(test.line))
	}
	f.Add(benchLine)
	f.Fuzz(func(t *testing.T, line []byte) {
		spec, faults := job.Decode(line)
		if faults != nil {
			for _, fault := range faults {
				if fault.What == "" || fault.Error() == "" {
					t.Fatalf("%q: a fault that says nothing: %+v", line, fault)
				}
			}
			spec.Resolve(find(house)) // must stand what is left
			return
		}
		want := plain{Kind: job.Generate, Model: "house"}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			// It takes whole numbers with zeros behind the point for no integers.
			if typeErr, ok := err.(*json.UnmarshalTypeError); !ok || !bytes.Contains([]byte(typeErr.Value), []byte(".")) {
				t.Fatalf("%q: encoding/json does not take it: %v", line, err)
			}
			return
		}

		// What Decode does beyond: names have one spelling, -0 is 0, what is empty is off.
		got := plain(spec)
		want.Sampler, want.Schedule, want.PromptSyntax = got.Sampler, got.Schedule, got.PromptSyntax
		for _, x := range []*float64{&want.GuidanceScale, &want.GuidanceRescale, &want.GuidanceStart, &want.GuidanceEnd, &want.Eta} {
			*x += 0
		}
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want)
		if !bytes.Equal(gotText, wantText) {
			t.Fatalf("%q is read as\n%s, by encoding/json as\n%s", line, gotText, wantText)
		}
		resolved, faults := spec.Resolve(find(house))
		if faults != nil {
			return
		}
		for one := range each(resolved.Expand(0)) {
			line, err := json.Marshal(one)
			if err != nil {
				t.Fatal(err)
			}
			if again, faults := job.Decode(line); faults != nil || !reflect.DeepEqual(again, one) {
				t.Fatalf("%s is read back as\n%+v %v, want\n%+v", line, again, faults, one)
			}
			break
		}
	})
}

func each(jobs iter.Seq[job.Spec], faults job.Faults) iter.Seq[job.Spec] {
	if faults != nil {
		return func(func(job.Spec) bool) {}
	}
	return jobs
}
