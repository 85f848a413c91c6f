//go:build unix

package faults

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// taskOf is the id of a line's task on the queue.
func (r *rig) taskOf(name string, index int) string {
	r.t.Helper()
	return fmt.Sprintf("%s:%s:%d", name, r.batch(name).Manifest[:12], index)
}

// A SIGTERM in mid-denoise puts the job back to the head, with no attempt
// counted and a checkpoint from which the next consumer goes on. Twice.
func TestSignalPutsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const steps = 60
	r.enqueue("night", longLine("long", "step=100ms", steps)+lines(5, ""))
	inspector := asynq.NewInspectorFromRedisClient(r.client)
	done := 0
	for range 2 {
		w := r.work("--jobs", "1", "--grace", "2s")
		r.until("the job is in the middle of it", func() bool { return len(r.seen.steps("long")) >= done+5 })
		w.signal(syscall.SIGTERM)
		r.within(2*time.Minute, "it ends, within 2 s on a machine that does nothing else", w.over)
		w.end(0)
		if done = len(r.seen.steps("long")); done == steps {
			t.Fatal("the job was not put back")
		}
		// Beside it, the consumer had one more task at hand, which may stand before it.
		head, err := r.client.LRange(t.Context(), "asynq:{"+queue+"}:pending", -2, -1).Result()
		if err != nil || !slices.Contains(head, r.taskOf("night", 0)) {
			t.Errorf("at the head are %v, %v", head, err)
		}
		if info, err := inspector.GetTaskInfo(queue, r.taskOf("night", 0)); err != nil || info.Retried != 0 {
			t.Errorf("%+v, %v: want no retry counted", info, err)
		}
	}
	r.finish("night", r.work("--jobs", "2"))
	for i, step := range r.seen.steps("long") {
		if step != i+1 {
			t.Fatalf("steps %v: want each once", r.seen.steps("long"))
		}
	}
}

// A second signal does not wait for a job that would be done within the grace
// period, and a third not even for one that doesn't heed that it is to end.
func TestSignals(t *testing.T) {
	t.Parallel()
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		gate, open := r.gate()
		r.enqueue("night", longLine("long", "step=20ms gate="+gate, 20))
		w := r.work("--grace", "4m")
		r.until("the job is at its last step", func() bool { return len(r.seen.steps("long")) == 19 })
		w.signal(syscall.SIGTERM)
		r.until("it says that it ends", func() bool { return strings.Contains(w.said.String(), "ending within 4m") })
		w.signal(syscall.SIGTERM)
		w.end(0)
		open()
		r.finish("night", r.work())
		if n := len(r.seen.steps("long")); n != 20 {
			t.Errorf("%d steps, want 20: the second consumer goes on from the checkpoint", n)
		}
	})
	t.Run("three", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		gate, open := r.gate()
		r.enqueue("night", line("deaf", "deaf gate="+gate))
		w := r.work()
		r.until("the job is at its last step", func() bool { return len(r.seen.steps("deaf")) == 3 })
		w.signal(syscall.SIGTERM)
		r.until("it says that it ends", func() bool { return strings.Contains(w.said.String(), "ending within") })
		r.until("it leaves", func() bool { // of two that come at once, one is lost
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
			return w.over()
		})
		w.end(130)
		open()
		r.finish("night", r.work())
	})
}
