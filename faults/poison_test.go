//go:build unix

package faults

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Two of 16 jobs take their process with them, however often they are tried, one
// panics and one is bad: that is four dead letters and 12 pictures. Something
// starts consumers again, as systemd or Kubernetes does.
func TestPoison(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue("night", lines(6, "step=5ms")+line("crash", "crash")+line("bad", "bad")+lines6+line("killed", "killed")+line("panic", "panic"))
	crashes := 0
	for {
		w := r.work("--jobs", "4")
		r.until("the batch is done, or a consumer dies", func() bool {
			return w.over() || r.records("night") == 16 && r.queued() == ""
		})
		if !w.over() {
			w.stop()
			break
		}
		if crashes++; crashes > 15 {
			t.Fatalf("consumers die again and again\n%s", r.state())
		}
		r.expire(time.Minute)
	}
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
