package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The types of tasks.
const (
	TypeJob  = "darkroom:job"
	TypeFeed = "darkroom:feed"
	// A slot of a schedule: Task's Batch is the schedule's name.
	TypeSchedule = "darkroom:schedule"
)

// taskVersion is the version of payloads that this program writes and reads.
const taskVersion = 1

// Task is a task's payload: a line to be rendered, or a shard to be fed.
type Task struct {
	Version  int             `json:"v"`
	Batch    string          `json:"batch"`
	Manifest string          `json:"manifest"`        // digest of the manifest it was made from
	Index    int             `json:"index,omitempty"` // of a job: its line
	Slot     int64           `json:"slot,omitempty"`  // of a schedule: seconds since 1970
	Shard    int             `json:"shard,omitempty"` // of a feed
	Job      json.RawMessage `json:"job,omitempty"`   // of a job: the manifest's line
}

// ErrVersion is of a task that a later darkroom enqueued.
var ErrVersion = errors.New("of a later version of darkroom")

// ParseTask reads a payload.
func ParseTask(payload []byte) (Task, error) {
	var t Task
	if err := json.Unmarshal(payload, &t); err != nil {
		return Task{}, fmt.Errorf("reading a task: %w", err)
	}
	switch {
	case t.Version > taskVersion:
		return Task{}, fmt.Errorf("reading a task: version %d, want at most %d: it is %w", t.Version, taskVersion, ErrVersion)
	case t.Version < 1 || CheckName(t.Batch) != nil || len(t.Manifest) != 64 || t.Index < 0 || t.Shard < 0:
		return Task{}, fmt.Errorf("reading a task: it names no line of a batch: %.200s", payload)
	}
	return t, nil
}

// Line decodes a job's line.
func (t Task) Line() Line {
	data := []byte(t.Job)
	var raw []byte
	if json.Unmarshal(data, &raw) == nil { // in base64: see enqueueJob
		data = raw
	}
	return decodeLine(t.Index, data)
}

// enqueueJob enqueues a line, as it stands in the manifest.
func (q *Queue) enqueueJob(ctx context.Context, b Batch, index int, line []byte) error {
	if !json.Valid(line) || line[0] == '"' { // for the consumer to say so
		line, _ = json.Marshal(line)
	}
	p := make([]byte, 0, len(line)+len(b.Name)+140)
	p = append(p, `{"v":`...)
	p = strconv.AppendInt(p, taskVersion, 10)
	p = append(p, `,"batch":"`...)
	p = append(p, b.Name...)
	p = append(p, `","manifest":"`...)
	p = append(p, b.Manifest...)
	p = append(p, `","index":`...)
	p = strconv.AppendInt(p, int64(index), 10)
	p = append(p, `,"job":`...)
	p = append(append(p, line...), '}')
	return q.enqueue(ctx, TypeJob, taskID(b, index), p)
}

// taskID is the same for a line of a manifest whoever enqueues it.
func taskID(b Batch, index int) string {
	return b.Name + ":" + b.short() + ":" + strconv.Itoa(index)
}

// EnqueueFeed enqueues the task that feeds a shard; see [Queue.Feed].
func (q *Queue) EnqueueFeed(ctx context.Context, b Batch, shard int) error {
	payload, err := json.Marshal(Task{Version: taskVersion, Batch: b.Name, Manifest: b.Manifest, Shard: shard})
	if err != nil {
		return err
	}
	return q.enqueue(ctx, TypeFeed, fmt.Sprintf("%s:%s:feed:%d", b.Name, b.short(), shard), payload)
}
