package consumer_test

import (
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
)

// TestDamagedObjects serves a queue where more tasks than are taken at once
// need something that is damaged: the others' pictures come all the same, and
// theirs when it is mended, with no attempt counted.
func TestDamagedObjects(t *testing.T) {
	q, client, _ := openServer(t)
	store := &storage.Memory{}
	opened, recorded := putOn(t, store, "low", "opened", manyLines(3)), putOn(t, store, "low", "recorded", manyLines(3))
	for _, b := range []batch.Batch{opened, recorded} {
		if err := q.Feed(t.Context(), store, b, 0); err != nil {
			t.Fatal(err)
		}
	}
	broken := []string{"opened/batch.json"}
	tasks, err := asynq.NewInspectorFromRedisClient(client).ListPendingTasks("low")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range tasks {
		if task, err := batch.ParseTask(info.Payload); err != nil {
			t.Fatal(err)
		} else if task.Batch == "recorded" {
			broken = append(broken, recorded.RecordName(task.Line()))
		}
	}
	for _, name := range broken {
		if err := store.Put(t.Context(), name, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	whole := putOn(t, store, "low", "whole", manyLines(3))
	if err := q.Enqueue(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	p := &painter{}
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet(), Attempts: 1, Tend: 50 * time.Millisecond})
	until(t, "the batch beside them is done", func() bool { return has(t, store, whole.DoneName()) })
	if n := p.renders.Load(); n != 3 {
		t.Errorf("%d renders, want 3", n)
	}

	for _, name := range broken[1:] {
		if err := store.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := opened.Save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	for _, b := range []batch.Batch{opened, recorded} {
		until(t, b.Name+" has its pictures", func() bool {
			counts, err := q.Count(t.Context(), b)
			return err == nil && counts.Done == 3
		})
	}
	c.Shutdown()
	if n := p.renders.Load(); n != 9 {
		t.Errorf("%d renders, want 9", n)
	}
}
