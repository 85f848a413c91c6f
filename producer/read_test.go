package producer

import (
	"errors"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
)

type oneModel struct{}

func (oneModel) Model(string) (job.Model, error) {
	return job.Model{Name: "house", Digest: strings.Repeat("ab", 32), Width: 8, Height: 8, Multiple: 8, Steps: 4, GuidanceScale: 5, Sampler: "euler", TextLayers: 2}, nil
}

// A file with more pictures than a batch may have is a bad one, and the line is
// named that is too much.
func TestTooManyLines(t *testing.T) {
	spool, err := newSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := openInputs("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &Manifest{spool: spool, inputs: inputs}
	defer m.Close()
	spool.lines = batch.MaxLines - 3
	err = m.read(t.Context(), strings.NewReader("{}\n"+`{"n":2}`+"\n"+`{"n":3}`+"\n{}\n"), Config{Source: "b.jsonl", Models: oneModel{}})
	want := "b.jsonl:3: with it the batch has more than 100000000 pictures, want the rest in another batch"
	if _, is := errors.AsType[*BadBatch](err); !is || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
