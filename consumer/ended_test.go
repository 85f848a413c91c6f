package consumer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
)

// TestEndsClearUp holds that nothing is left of a line that has its record,
// also where its consumer died right after writing that, and where the line
// killed one consumer after the other.
func TestEndsClearUp(t *testing.T) {
	q, client, _ := openServer(t)
	store := &storage.Memory{}
	const recorded, poison, open = 0, 1, 2 // the last keeps the batch from its end, which clears up as well
	b := putOn(t, store, "low", "b", manyLines(3))
	if err := q.Feed(t.Context(), store, b, 0); err != nil {
		t.Fatal(err)
	}
	tasks, err := asynq.NewInspectorFromRedisClient(client).ListPendingTasks("low")
	if err != nil || len(tasks) != b.Lines {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	lines := make([]batch.Line, b.Lines)
	for _, info := range tasks {
		task, err := batch.ParseTask(info.Payload)
		if err != nil {
			t.Fatal(err)
		}
		lines[task.Index] = task.Line()
	}
	if _, err := (batch.Commit{Store: store, Batch: b}).Done(t.Context(), lines[recorded], paint(lines[recorded].Spec), 2); err != nil {
		t.Fatal(err)
	}
	checkpoint := func(line int) string { return b.CheckpointName(lines[line]) }
	before := map[int]batch.Attempts{recorded: {Count: 1, Errors: []string{"no"}}, poison: {Crashes: 3, Errors: []string{"died"}}}
	for line, attempts := range before {
		if err := q.SetAttempts(t.Context(), b, line, attempts); err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), checkpoint(line), []byte("a checkpoint")); err != nil {
			t.Fatal(err)
		}
	}

	p := &painter{before: func(context.Context, job.Spec) error {
		return &job.Failure{Class: job.NoModel, Err: errors.New("no such model")}
	}}
	ended := make(chan consumer.Event, b.Lines)
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet(), Committed: func(e consumer.Event) { ended <- e }})
	for range before {
		e := <-ended
		line := e.Record.Index
		if class := map[int]string{poison: "poison"}[line]; e.Record.Class != class || line == open {
			t.Errorf("line %d ended with the class %q, want %q", line, e.Record.Class, class)
		}
		if has(t, store, checkpoint(line)) {
			t.Errorf("line %d: its checkpoint is left", line)
		}
		if left, err := q.Attempts(t.Context(), b, line); err != nil || left.Count+left.Crashes > 0 {
			t.Errorf("line %d: %+v are left, %v", line, left, err)
		}
	}
	c.Shutdown()
}
