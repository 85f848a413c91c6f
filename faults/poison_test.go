//go:build unix

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Two of 16 jobs take their process with them, however often they are tried, one
// panics and one is bad: that is four dead letters and 12 pictures.
func TestPoison(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue("night", lines(6, "step=5ms")+line("crash", "crash")+line("bad", "bad")+lines6+line("killed", "killed")+line("panic", "panic"))
	crashes := r.restart("night")
	r.check("night")
	if crashes < 6 {
		t.Errorf("%d processes died, want three for each of two jobs at least", crashes)
	}
	for _, id := range []string{"crash", "killed", "panic"} {
		if n := r.seen.count("begin", of(id)); n < 3 || n > 8 {
			t.Errorf("%s was tried %d times", id, n)
		}
	}
}

// A job that was given up for the processes it took with it has its picture once
// what it died of is mended, and a retry was said.
func TestPoisonRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mended, mend := r.gate()
	r.enqueue("night", line("crash", "crash="+mended)+lines(3, ""))
	if crashes := r.restart("night"); crashes < 3 {
		t.Errorf("%d processes died, want three at least", crashes)
	}
	if said := r.run(0, "status", "night"); !strings.Contains(said, "1 (1 poison)") {
		t.Errorf("status says\n%s", said)
	}
	mend()
	r.run(0, "retry", "night", "--class", "poison")
	begun := r.seen.count("begin", all)
	w := r.work("--jobs", "2")
	r.finish("night", w)
	if n := r.seen.count("begin", all) - begun; n != 1 {
		t.Errorf("%d renders after the retry, want one", n)
	}
	if strings.Contains(w.said.String(), "took its process with it") {
		t.Error("it is taken for one that kills its process still")
	}
}

// restart starts one consumer after the other, as systemd or Kubernetes does,
// until a batch is done and the queue is empty, and returns how many died.
func (r *rig) restart(name string) (crashes int) {
	r.t.Helper()
	for lines := r.batch(name).Lines; ; {
		w := r.work("--jobs", "4")
		r.until("the batch is done, or a consumer dies", func() bool {
			return w.over() || r.records(name) == lines && r.queued() == ""
		})
		if !w.over() {
			w.stop()
			return crashes
		}
		if crashes++; crashes > 15 {
			r.t.Fatalf("consumers die again and again\n%s", r.state())
		}
		r.expire(time.Minute)
	}
}

var lines6 = func() (text string) {
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		text += line(id, "step=5ms")
	}
	return text
}()

// expire makes the leases of tasks look so much older, and gives the dead one's
// lead free: as if so much time had passed since a consumer died.
func (r *rig) expire(by time.Duration) {
	r.t.Helper()
	ctx := r.t.Context()
	leases, err := r.client.ZRangeWithScores(ctx, "asynq:{"+queue+"}:lease", 0, -1).Result()
	for _, lease := range leases {
		if err == nil {
			err = r.client.ZAdd(ctx, "asynq:{"+queue+"}:lease", redis.Z{Score: lease.Score - by.Seconds() - 30, Member: lease.Member}).Err()
		}
	}
	if err == nil {
		err = r.client.Del(ctx, "darkroom:{"+queue+"}:lead").Err()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
