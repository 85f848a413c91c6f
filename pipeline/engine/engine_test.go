package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// enter joins the engine, for tests that need no error handling.
func enter(t *testing.T, e *Engine[string, *row], group string) *Job[string, *row] {
	t.Helper()
	j, err := e.Join(group)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// async runs a step beside the test and tells its error and its end.
func async(ctx context.Context, j *Job[string, *row], name string, rows int) <-chan error {
	result := make(chan error, 1)
	go func() { result <- denoise(ctx, j, name, rows) }()
	synctest.Wait()
	return result
}

func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 1, Rows: 4})
		a, b := enter(t, e, "x"), enter(t, e, "x")
		why := errors.New("the batch was cancelled")
		ctx, cancel := context.WithCancelCause(t.Context())
		waits := async(ctx, a, "a", 2) // b computes, so a waits
		cancel(why)
		if err := <-waits; err != why {
			t.Errorf("Denoise = %v, want the context's cause", err)
		}
		if err := a.Denoise(ctx, &row{}); err != why {
			t.Errorf("Denoise with a cancelled context = %v, want its cause", err)
		}
		if got := time.Since(d.begin); got != 0 {
			t.Errorf("the cancelled job waited %v", got)
		}
		a.Leave()
		if err := denoise(t.Context(), b, "b", 1); err != nil {
			t.Error(err)
		}
		b.Leave()
		e.Close()
		d.want(t, "0s 0 x: b")
	})
}

func TestCancelInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		d.heed = true
		e := start(t, d, Config{Lanes: 1, Rows: 4})
		a, b := enter(t, e, "x"), enter(t, e, "x")
		ctx, cancel := context.WithCancel(t.Context())
		first := async(ctx, a, "a", 2)
		second := async(t.Context(), b, "b", 1)
		cancel()
		if err := <-first; err != context.Canceled {
			t.Errorf("the cancelled job: %v, want %v", err, context.Canceled)
		}
		if got := time.Since(d.begin); got != 4*ms {
			t.Errorf("the cancelled job returned after %v, want the call's 4ms: its buffers were in use", got)
		}
		if err := <-second; err != nil {
			t.Errorf("its neighbour: %v", err)
		}

		// With every job of a call cancelled, the call is; the next one is not.
		ctx, cancel = context.WithCancel(t.Context())
		first, second = async(ctx, a, "a", 2), async(ctx, b, "b", 1)
		cancel()
		if err := errors.Join(<-first, <-second); !errors.Is(err, context.Canceled) {
			t.Errorf("both cancelled: %v", err)
		}
		if got := time.Since(d.begin); got != 4*ms {
			t.Errorf("a call that nobody wants went on until %v", got)
		}
		a.Leave()
		if err := denoise(t.Context(), b, "b", 1); err != nil {
			t.Errorf("after a cancelled call: %v", err)
		}
		b.Leave()
		e.Close()
	})
}

// TestCancelHalfFired cancels a job with one row in a call and one waiting.
func TestCancelHalfFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 1, Rows: 1})
		a := enter(t, e, "x")
		ctx, cancel := context.WithCancel(t.Context())
		step := async(ctx, a, "a", 2)
		cancel()
		if err := <-step; err != context.Canceled {
			t.Errorf("Denoise = %v, want %v", err, context.Canceled)
		}
		a.Leave()
		e.Close()
		d.want(t, "0s 0 x: a")
	})
}

func TestFailuresStayInTheirCall(t *testing.T) {
	broken := errors.New("out of memory")
	tests := []struct {
		name  string
		fail  func() error
		check func(error) bool
	}{
		{"error", func() error { return broken }, func(err error) bool { return errors.Is(err, broken) }},
		{"panic", func() error { panic(broken) }, func(err error) bool {
			var p *PanicError
			return errors.As(err, &p) && p.Value == broken && strings.Contains(string(p.Stack), "engine_test.go") && !strings.Contains(err.Error(), "\n")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(ms, ms)
				failures := 0
				d.fail = func(rows []*row) error {
					if rows[0].group == "x" && failures == 0 {
						failures++
						return tt.fail()
					}
					return nil
				}
				e := start(t, d, Config{Lanes: 2, Rows: 2})
				a, b, c := enter(t, e, "x"), enter(t, e, "x"), enter(t, e, "y")
				// a fills a call, and its third row is withdrawn with the others.
				first := async(t.Context(), a, "a", 3)
				second := async(t.Context(), c, "c", 2)
				if err := <-first; !tt.check(err) {
					t.Errorf("Denoise = %v", err)
				}
				if err := <-second; err != nil {
					t.Errorf("another call's job: %v", err)
				}
				// The job is still active, and may try again.
				b.Leave()
				c.Leave()
				if err := denoise(t.Context(), a, "a", 1); err != nil {
					t.Errorf("the second try: %v", err)
				}
				a.Leave()
				e.Close()
				d.want(t, "0s 0 x: a a", "0s 1 y: c c", "3ms 0 x: a")
			})
		})
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 1, Rows: 2})
		a, b, c := enter(t, e, "x"), enter(t, e, "x"), enter(t, e, "x")
		flies := async(t.Context(), a, "a", 2)
		waits := async(t.Context(), b, "b", 1) // c computes, and never comes
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(e.Close)
		}
		synctest.Wait()
		if err := c.Denoise(t.Context(), &row{}); err != ErrClosed {
			t.Errorf("Denoise after Close = %v, want ErrClosed", err)
		}
		if _, err := e.Join("x"); err != ErrClosed {
			t.Errorf("Join after Close = %v, want ErrClosed", err)
		}
		wg.Wait()
		if err := errors.Join(<-flies, <-waits); err != nil {
			t.Errorf("rows that were there before Close: %v", err)
		}
		d.want(t, "0s 0 x: a a", "3ms 0 x: b")
		a.Leave()
		c.Leave()
	})
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 1, Rows: 4})
		a, b := enter(t, e, "x"), enter(t, e, "y")
		waits := async(t.Context(), a, "a", 1)
		a.Leave()
		a.Leave()
		if err := <-waits; err != ErrLeft {
			t.Errorf("a step whose job left = %v, want ErrLeft", err)
		}
		if err := a.Denoise(t.Context(), &row{}); err != ErrLeft {
			t.Errorf("Denoise after Leave = %v, want ErrLeft", err)
		}
		b.Leave()
		if len(e.groups) != 0 || e.computing != 0 || e.active != 0 {
			t.Errorf("with no job left: %d groups, %d computing, %d active", len(e.groups), e.computing, e.active)
		}
		e.Close()
		d.want(t)
	})
}

func TestMisuse(t *testing.T) {
	for _, cfg := range []Config{{Lanes: 0, Rows: 1}, {Lanes: 1, Rows: -1}} {
		if _, err := New(cfg, func(context.Context, int, string, []*row) error { return nil }); err == nil {
			t.Errorf("New(%+v) gave no error", cfg)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		e := start(t, newDevice(ms, ms), Config{Lanes: 1, Rows: 4})
		a := enter(t, e, "x")
		if err := a.Denoise(t.Context()); err != nil {
			t.Errorf("a step of no rows: %v", err)
		}
		step := async(t.Context(), a, "a", 1)
		if err := a.Denoise(t.Context(), &row{}); err == nil {
			t.Error("a second Denoise beside the first gave no error")
		}
		if err := <-step; err != nil {
			t.Error(err)
		}
		a.Leave()
		e.Close()
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 1, Rows: 4})
		e.Limit("y", 1) // before the group is there
		a, b, c := enter(t, e, "x"), enter(t, e, "x"), enter(t, e, "y")
		first := async(t.Context(), a, "a", 3) // b computes, so a waits
		e.Limit("x", 2)                        // but not with a full call
		second := async(t.Context(), b, "b", 1)
		third := async(t.Context(), c, "c", 2)
		if err := errors.Join(<-first, <-second, <-third); err != nil {
			t.Error(err)
		}
		for _, j := range []*Job[string, *row]{a, b, c} {
			j.Leave()
		}
		e.Close()
		d.want(t, "0s 0 x: a a", "3ms 0 x: a b", "6ms 0 y: c", "8ms 0 y: c")
		if s := e.Stats(); s.Slots != 6 {
			t.Errorf("%d slots, want 2 + 2 + 1 + 1", s.Slots)
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(ms, ms)
		e := start(t, d, Config{Lanes: 2, Rows: 4})
		a, b := enter(t, e, "x"), enter(t, e, "x")
		// a's row waits 4 ms for b on two free lanes, then each has a call of
		// 2 ms, and b's leaving is 6 ms of nothing to do.
		first := async(t.Context(), a, "a", 1)
		time.Sleep(4 * ms)
		second := async(t.Context(), b, "b", 1)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		a.Leave()
		time.Sleep(2 * ms)
		b.Leave()
		time.Sleep(50 * ms)
		s := e.Stats()
		if s.Calls != 2 || s.Rows != 2 || s.Slots != 8 || s.Active != 0 {
			t.Errorf("%d calls, %d rows of %d, %d active; want 2, 2 of 8, 0", s.Calls, s.Rows, s.Slots, s.Active)
		}
		if s.Busy[0] != 2*ms || s.Busy[1] != 2*ms || s.Idle != 8*ms || s.Elapsed != 8*ms {
			t.Errorf("busy %v, idle %v of %v; want 2ms each, 8ms of 8ms", s.Busy, s.Idle, s.Elapsed)
		}
		if s.Fill() != .25 || s.Occupancy() != 4./12 || s.Utilization() != .25 {
			t.Errorf("fill %v, occupancy %v, utilization %v; want 0.25, 0.333, 0.25", s.Fill(), s.Occupancy(), s.Utilization())
		}
		if s := (Stats{}); s.Fill() != 0 || s.Occupancy() != 0 {
			t.Error("an engine that did nothing has no shares")
		}
		e.Close()
	})
}

func TestStepsAllocateNothing(t *testing.T) {
	e, err := New(Config{Lanes: 2, Rows: 4}, func(context.Context, int, string, []*row) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	j := enter(t, e, "x")
	defer j.Leave()
	ctx, rows := t.Context(), []*row{{}, {}}
	if n := testing.AllocsPerRun(100, func() {
		if err := j.Denoise(ctx, rows...); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a step makes %v allocations, want none", n)
	}
}
