package engine

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// On one core, a lane that yields lets the job whose row it has evaluated go on
// before it begins its next call.
func TestYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	calls, after := 0, 0 // of them those that began when all evaluated jobs had gone on
	var wentOn atomic.Int64
	var e *Engine[string, *row]
	rowsWait := func(n int) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.waiting >= n
	}
	e, err := New(Config{Lanes: 1, Rows: 1, Yields: true}, func(context.Context, int, string, []*row) error {
		for calls == 0 && !rowsWait(3) { // there is always a next call to begin
			runtime.Gosched()
		}
		if wentOn.Load() == int64(calls) {
			after++
		}
		calls++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		job := enter(t, e, "x")
		wait.Go(func() {
			defer job.Leave()
			for range 250 {
				if err := job.Denoise(t.Context(), &row{}); err != nil {
					t.Error(err)
				}
				wentOn.Add(1)
			}
		})
	}
	wait.Wait()
	e.Close()
	// The scheduler may have the lane go first, which it does seldom: it looks
	// at what has yielded every 61st time.
	if calls != 1000 || after < 800 {
		t.Errorf("of %d calls %d began after the jobs of the last had gone on, want 1000 and nearly all", calls, after)
	}
}
