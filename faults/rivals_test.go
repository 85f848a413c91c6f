//go:build unix

package faults

import (
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// Two consumers work on one task at once: the line has one picture and one
// record.
func TestTwoOnOneTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate, open := r.gate()
	r.enqueue("night", line("both", "gate="+gate))
	one, two := r.work(), r.work()
	r.until("one works on it", func() bool { return len(r.seen.steps("both")) == 3 })
	busy, free := one, two
	if r.seen.count("begin", by(two)) == 1 {
		busy, free = two, one
	}
	busy.signal(syscall.SIGSTOP) // else it may take it again, to have it at hand
	if err := r.client.RPush(t.Context(), "asynq:{"+queue+"}:pending", r.taskOf("night", 0)).Err(); err != nil {
		t.Fatal(err)
	}
	r.until("the other as well", func() bool { return r.seen.count("step", by(free)) == 3 })
	busy.signal(syscall.SIGCONT)
	open()
	r.finish("night", one, two)
	if n := r.seen.count("end", of("both")); n != 2 {
		t.Errorf("%d renders, want 2", n)
	}
}

// A consumer stands still for 90 seconds, and others get its tasks. Then it goes
// on, with a picture in its hands that is long there, and another under way.
func TestStandstill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	finished, finish := r.gate()
	r.enqueue("night", line("deaf", "deaf gate="+finished)+longLine("long", "step=50ms", 60)+lines(30, "step=10ms"))
	zombie := r.work("--jobs", "2")
	r.until("it is in the middle of both", func() bool { return len(r.seen.steps("deaf")) == 3 && len(r.seen.steps("long")) >= 5 })
	zombie.signal(syscall.SIGSTOP)
	w := r.work("--jobs", "2")
	finish()
	outage(90 * time.Second)
	r.until("the other has done it all", func() bool { return r.records("night") == 32 })
	zombie.signal(syscall.SIGCONT)
	r.until("it ends what it had", func() bool {
		return r.seen.count("end", by(zombie)) == r.seen.count("begin", by(zombie))
	})
	if n := r.seen.count("end", func(e event) bool { return e.by == zombie && e.id == "deaf" }); n != 1 {
		t.Errorf("it ended the job %d times", n)
	}
	r.finish("night", zombie, w)
}

// asynq gives up a task that doesn't heed it, and begins others in its place:
// the device still has one job at a time.
func TestDeviceHasOneJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate, open := r.gate()
	r.enqueue("night", line("deaf", "deaf gate="+gate)+lines(3, ""))
	w := r.work("--jobs", "1")
	r.until("it is under way", func() bool { return len(r.seen.steps("deaf")) == 3 })
	inspector := asynq.NewInspectorFromRedisClient(r.client)
	r.until("asynq has given it up", func() bool { // it may hear of that only once it listens
		if err := inspector.CancelProcessing(r.taskOf("night", 0)); err != nil {
			t.Fatal(err)
		}
		info, err := inspector.GetTaskInfo(queue, r.taskOf("night", 0))
		return err == nil && info.State != asynq.TaskStateActive
	})
	r.until("others are at hand in its place", func() bool {
		n, err := r.client.LLen(t.Context(), "asynq:{"+queue+"}:active").Result()
		return err == nil && n == 2
	})
	open()
	r.finish("night", w)
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	now := 0
	for _, e := range r.seen.events {
		switch e.what {
		case "begin":
			now++
		case "end":
			now--
		}
		if now > 1 {
			t.Fatalf("%d jobs at once on a device for one", now)
		}
	}
}
