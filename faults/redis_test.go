//go:build unix

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis is killed with -9 and comes back after a while, with what it wrote down.
// One job ends meanwhile, and one goes on.
func TestRedisOutage(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 40 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ends, end := r.gate()
			stays, leave := r.gate()
			r.enqueue("night", line("ends", "gate="+ends)+line("stays", "gate="+stays)+lines(20, "step=10ms"))
			w := r.work("--jobs", "3")
			r.until("two are at their last step, and the others are done", func() bool {
				active, err := r.client.LLen(t.Context(), "asynq:{"+queue+"}:active").Result()
				return len(r.seen.steps("ends")) == 3 && len(r.seen.steps("stays")) == 3 && r.records("night") == 20 && active == 2 && err == nil
			})
			begin := time.Now()
			r.redis.Kill()
			end()
			outage(d)
			r.until("the consumer tells that Redis is away", func() bool { return strings.Contains(w.said.String(), "Redis is away") })
			if err := r.redis.Start(); err != nil {
				t.Fatal(err)
			}
			took := time.Since(begin)
			if d < 30*time.Second {
				r.until("the consumer has Redis again", func() bool { return strings.Contains(w.said.String(), "Redis is back") })
			}
			leave()
			r.finish("night", w)
			// asynq's word that the job is done gets through once Redis is back, if
			// that is in time. Were it lost, the task would run again after its
			// lease's end, which counts as a failure. (At 5 s, the first try of it
			// may still be under way.)
			failures, err := r.client.Exists(t.Context(), "asynq:{"+queue+"}:failed").Result()
			if took < 14*time.Second && (failures != 0 || err != nil) {
				t.Errorf("a lease ran out, %v", err)
			}
			if n := r.seen.count("begin", of("ends")); n != 1 {
				t.Errorf("the job that ended during the outage was rendered %d times", n)
			}
			if n := r.seen.count("begin", of("stays")); n != 1 && d < 30*time.Second || n > 2 {
				t.Errorf("the job that went on during the outage was rendered %d times", n)
			}
		})
	}
}

// A job that is alone in its process when an outage ends it has not killed that.
func TestRedisOutageIsNoCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate, open := r.gate()
	r.enqueue("night", line("alone", "gate="+gate))
	w := r.work("--jobs", "1")
	r.until("it is at its last step", func() bool { return len(r.seen.steps("alone")) == 3 })
	r.redis.Kill()
	r.until("its lease is over, and it was ended for that", func() bool { return r.seen.count("end", of("alone")) == 1 })
	outage(5 * time.Second)
	if err := r.redis.Start(); err != nil {
		t.Fatal(err)
	}
	r.until("it is tried again", func() bool { return r.seen.count("begin", of("alone")) == 2 })
	open()
	r.finish("night", w)
	if strings.Contains(w.said.String(), "took its process with it") {
		t.Error("the job is taken for one that killed its process")
	}
}

// Redis is killed in the middle of it, and comes back with less than it had.
func TestRedisForgets(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(r *rig) error{
		"all": func(r *rig) error { return os.RemoveAll(r.redis.Dir) },
		"the end": func(r *rig) error {
			found, err := filepath.Glob(filepath.Join(r.redis.Dir, "appendonlydir", "*.incr.aof"))
			if err != nil || len(found) != 1 {
				return fmt.Errorf("append-only files %v, %v", found, err)
			}
			info, err := os.Stat(found[0])
			if err != nil {
				return err
			}
			return os.Truncate(found[0], max(0, info.Size()-int64(1+r.random.IntN(20_000))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.enqueue("night", lines(200, "step=10ms"))
			w := r.work("--jobs", "3")
			some := 20 + r.random.IntN(100)
			r.until("some are done", func() bool { return r.records("night") >= some })
			r.redis.Kill()
			if err := lose(r); err != nil {
				t.Fatal(err)
			}
			if err := r.redis.Start(); err != nil {
				t.Fatal(err)
			}
			r.finish("night", w)
			if n := r.seen.count("begin", all); n > 200+2*3 {
				t.Errorf("%d renders of 200 lines, of which 3 were under way", n)
			}
		})
	}
}

// Redis takes no more data for a while.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.work("--jobs", "2")
	used, err := r.client.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(used, "used_memory:")
	text, _, _ = strings.Cut(text, "\r\n")
	bytes, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%v in %q", err, used)
	}
	limit := func(bytes int) {
		if err := r.client.ConfigSet(t.Context(), "maxmemory", strconv.Itoa(bytes)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r.enqueue("first", lines(20, ""))
	limit(bytes + 100<<10)
	cmd := r.command("enqueue", r.file("night", lines(1000, "")))
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 0 && status != 3 {
		t.Errorf("enqueue ended with %v:\n%s", err, out)
	}
	r.until("Redis has refused much", func() bool {
		stats, err := r.client.Info(t.Context(), "errorstats").Result()
		_, text, is := strings.Cut(stats, "errorstat_OOM:count=")
		text, _, _ = strings.Cut(text, "\r\n")
		n, _ := strconv.Atoi(text)
		return err == nil && is && n > 20
	})
	if r.records("night") == 1000 {
		t.Fatal("the limit was none")
	}
	limit(0)
	r.settle("first")
	r.settle("night")
	w.stop()
	r.check("first", "night")
}
