//go:build unix

package faults

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/darkroom/darkroom/producer/batch"
)

// Messages that can't be read, or that are another program's, do no harm: what
// is of no use is dropped, and what a later version of darkroom has enqueued is
// left to it.
func TestMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate, open := r.gate()
	r.enqueue("night", line("held", "gate="+gate)+lines(20, "step=10ms"))
	ctx := t.Context()
	tasks := asynq.NewClientFromRedisClient(r.client)
	put := func(kind, id string, payload []byte) {
		t.Helper()
		if _, err := tasks.Enqueue(asynq.NewTask(kind, payload), asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(1<<30)); err != nil {
			t.Fatal(err)
		}
	}
	payload := func(change func(map[string]any)) []byte {
		t.Helper()
		task := map[string]any{"v": 1, "batch": "night", "manifest": r.batch("night").Manifest, "index": 0}
		change(task)
		data, err := json.Marshal(task)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	put(batch.TypeJob, "malformed", []byte(`{"v":1,"batch":"ni`))
	put(batch.TypeJob, "of no batch", payload(func(task map[string]any) { task["batch"] = "../../etc" }))
	put(batch.TypeJob, "of no line", payload(func(task map[string]any) { task["index"] = 21 }))
	put(batch.TypeFeed, "of no shard", payload(func(task map[string]any) { task["shard"] = 1 }))
	put("email:send", "of another program", []byte(`{"to":"somebody"}`))
	put("darkroom:unknown", "of an unknown type", payload(func(map[string]any) {}))
	put(batch.TypeJob, "of the future", payload(func(task map[string]any) { task["v"] = 99 }))
	// asynq can't read this one: it stays active, and once its lease is over,
	// no other lease is looked at.
	if err := r.client.HSet(ctx, "asynq:{"+queue+"}:t:corrupt", "state", "pending", "msg", "\xff\xff no message").Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.client.LPush(ctx, "asynq:{"+queue+"}:pending", "corrupt").Err(); err != nil {
		t.Fatal(err)
	}

	dies := r.work("--jobs", "1")
	r.until("a job is under way", func() bool { return len(r.seen.steps("held")) == 3 })
	dies.kill()
	open()
	// Ten minutes later: both leases are over, and the dead one's lead as well.
	w := r.work("--jobs", "2")
	r.until("the corrupt message has been met", func() bool {
		return r.client.LPos(ctx, "asynq:{"+queue+"}:active", "corrupt", redis.LPosArgs{}).Err() == nil
	})
	r.expire(10 * time.Minute)

	// What is left is the message of the future.
	inspector := asynq.NewInspectorFromRedisClient(r.client)
	r.until("the batch is done, and one message waits", func() bool {
		waits, err := inspector.ListRetryTasks(queue)
		active, _ := r.client.LLen(ctx, "asynq:{"+queue+"}:active").Result()
		return r.records("night") == 21 && err == nil && len(waits) == 1 && waits[0].ID == "of the future" && active == 0
	})
	// Whichever of the two met it, it may have been the one that died.
	if !strings.Contains(dies.said.String()+w.said.String(), "version 99") {
		t.Error("no consumer tells of the message of the future")
	}
	r.until("it can be deleted", func() bool { return inspector.DeleteTask(queue, "of the future") == nil })
	r.finish("night", w)
}
