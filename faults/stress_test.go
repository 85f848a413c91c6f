//go:build unix

package faults

import (
	"maps"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestStress kills consumers, Redis, the bucket's server and producers with -9,
// one every few seconds, until a batch is done. By hand, a long one:
//
//	DARKROOM_TEST_STRESS=20000 go test ./faults -run TestStress -v -timeout 2h
func TestStress(t *testing.T) {
	n, consumers := 1000, 2
	if text := os.Getenv("DARKROOM_TEST_STRESS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		consumers = 4
	}
	t.Parallel()
	r := newBucketRig(t, "--appendfsync", "everysec")
	file := r.file("night", lines(n, ""))
	begun := time.Now()
	r.run(0, "enqueue", file)
	workers := make([]*worker, consumers)
	kills := map[string]int{}
	for r.records("night") < n {
		if time.Since(begun) > time.Hour {
			t.Fatalf("it doesn't end\n%s", r.state())
		}
		for i, w := range workers {
			if w == nil || w.over() {
				workers[i] = r.begin("--jobs", "4", "--grace", "5s")
			}
		}
		outage(time.Second + time.Duration(r.random.IntN(4000))*time.Millisecond)
		down := time.Duration(r.random.IntN(2000)) * time.Millisecond
		switch i := r.random.IntN(10); {
		case i < 5:
			kills["consumer"]++
			workers[r.random.IntN(consumers)].kill()
		case i < 7:
			kills["Redis"]++
			r.redis.Kill()
			outage(down)
			if err := r.redis.Start(); err != nil {
				t.Fatal(err)
			}
		case i < 9:
			kills["bucket's server"]++
			r.bucket.Kill()
			outage(down)
			if err := r.bucket.Start(); err != nil {
				t.Fatal(err)
			}
		default:
			kills["producer"]++
			cmd := r.command("enqueue", file)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			outage(down)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	for i, w := range workers {
		if w == nil || !w.serves() { // one that met a Redis or a bucket that was away as it started has ended
			workers[i] = r.work()
		}
	}
	r.finish("night", workers...)
	total := 0
	for count := range maps.Values(kills) {
		total += count
	}
	t.Logf("%d pictures in %v, with %d kills %v: %d renders begun", n, time.Since(begun).Round(time.Second), total, kills, r.seen.count("begin", all))
}
