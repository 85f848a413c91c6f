package engine

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// All calls of a lane come from one thread.
func TestLanesKeepTheirThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	threads := make([]map[int]bool, 2) // by lane
	for lane := range threads {
		threads[lane] = map[int]bool{}
	}
	e, err := New(Config{Lanes: 2, Rows: 1}, func(_ context.Context, lane int, _ string, _ []*row) error {
		threads[lane][syscall.Gettid()] = true
		runtime.Gosched() // to whichever thread is free, for a goroutine that has none of its own
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		job := enter(t, e, "x")
		wait.Go(func() {
			defer job.Leave()
			for range 100 {
				if err := job.Denoise(t.Context(), &row{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	e.Close()
	for lane, seen := range threads {
		if len(seen) != 1 {
			t.Errorf("the calls of lane %d came from %d threads", lane, len(seen))
		}
	}
}
