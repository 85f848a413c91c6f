package batch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// Status is how a line ended.
type Status string

const (
	Done   Status = "done"   // its picture is there
	Failed Status = "failed" // a dead letter
)

// Record says how a line ended. Written beside the picture, it is the mark
// that the line is done; without a picture, it is the line's dead letter.
type Record struct {
	Status Status         `json:"status"`
	ID     string         `json:"id,omitempty"`
	Index  int            `json:"index"`
	Key    string         `json:"key"`          // 64 hex digits
	Job    job.Spec       `json:"job,omitzero"` // zero where the line could not be read
	Labels map[string]any `json:"labels,omitempty"`

	File     string             `json:"file,omitempty"`   // the picture's name beside the record
	SHA256   string             `json:"sha256,omitempty"` // of the picture
	Width    int                `json:"width,omitempty"`  // pixels
	Height   int                `json:"height,omitempty"` // pixels
	Models   map[string]string  `json:"models,omitempty"` // name: digest
	MadeWith *job.MadeWith      `json:"made_with,omitempty"`
	Timing   map[string]float64 `json:"timing,omitempty"` // seconds a stage
	Attempts int                `json:"attempts"`         // 1: it went well at once

	Class  string   `json:"class,omitempty"`  // of a failure
	Error  string   `json:"error,omitempty"`  // the last one
	Errors []string `json:"errors,omitempty"` // the last three
}

// Failure is why a line ends as a dead letter.
type Failure struct {
	Class    string
	Errors   []string // of its attempts, the last one last; at least one
	Attempts int
}

// newRecord fills in what the line says by itself.
func newRecord(l Line, status Status) Record {
	spec := l.Spec
	r := Record{Status: status, ID: spec.ID, Index: l.Index, Key: l.Key.String(), Labels: spec.Labels}
	spec.ID, spec.Labels = "", nil // they stand beside the job
	r.Job = spec
	return r
}

// ReadRecord reads a line's record; [storage.ErrNotFound] where it has none. One
// that is another line's is damaged: it would be counted for that one.
func (b Batch) ReadRecord(ctx context.Context, store storage.Store, l Line) (Record, error) {
	name := b.RecordName(l)
	data, err := store.Get(ctx, name)
	if err != nil {
		return Record{}, fmt.Errorf("reading a record: %w", err)
	}
	var r Record
	switch err = json.Unmarshal(data, &r); {
	case err != nil:
	case r.Status != Done && r.Status != Failed:
		err = fmt.Errorf("unknown status %q", r.Status)
	case r.Index != l.Index || r.Key != l.Key.String():
		err = fmt.Errorf("it is of line %d and the job %.12s", r.Index, r.Key)
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading a record: %w", damaged(name, err, "and run again: the picture beside it gets a new one"))
	}
	return r, nil
}
