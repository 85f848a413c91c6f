package engine

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// PanicError is the error of a call that panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the goroutine's stack, as debug.Stack prints it
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// PanicStack is the Stack, for logs: the error's text is without it.
func (p *PanicError) PanicStack() []byte { return p.Stack }

// lane runs one call at a time, in a goroutine and a thread of its own. The rows
// and parts of a call are the goroutine's while it runs, the engine's otherwise.
type lane[K comparable, R any] struct {
	number int
	wake   chan struct{}
	group  K
	rows   []R
	settle []*Job[K, R] // jobs to tell that their step is over

	// Under the engine's lock.
	running bool
	stopped bool
	began   time.Time
	busy    time.Duration
	parts   []part[K, R]
	ctx     context.Context // of one call after another, until one is cancelled
	cancel  context.CancelFunc
}

// part is how many rows of a call are one job's.
type part[K comparable, R any] struct {
	job  *Job[K, R]
	rows int
}

func newLane[K comparable, R any](number, rows int) *lane[K, R] {
	l := &lane[K, R]{
		number: number,
		wake:   make(chan struct{}, 1),
		rows:   make([]R, 0, rows),
		parts:  make([]part[K, R], 0, rows),
		settle: make([]*Job[K, R], 0, rows),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *lane[K, R]) start(group K, now time.Time) {
	l.group, l.began, l.running = group, now, true
	l.wake <- struct{}{}
}

func (l *lane[K, R]) stop() {
	if !l.stopped {
		l.stopped = true
		close(l.wake)
	}
}

// cancelUnwanted cancels the lane's call if it holds rows of the job, which has
// failed, and of no job that hasn't.
func (l *lane[K, R]) cancelUnwanted(failed *Job[K, R]) {
	if !l.running {
		return
	}
	holds := false
	for _, p := range l.parts {
		if p.job.err == nil {
			return
		}
		holds = holds || p.job == failed
	}
	if holds {
		l.cancel()
	}
}

func (e *Engine[K, R]) serveLane(l *lane[K, R]) {
	// All calls of a lane come from one thread: a device's library keeps
	// buffers by thread, and the system keeps a thread on its core. Else each
	// call may come from the thread that ran a job before, and on a CPU takes
	// some 5 % longer.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range l.wake {
		// No lock is needed for l.ctx: it is replaced in finish only, and by
		// this goroutine.
		e.finish(l, e.evaluate(l))
	}
	l.cancel()
}

func (e *Engine[K, R]) evaluate(l *lane[K, R]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return e.call(l.ctx, l.number, l.group, l.rows)
}

// finish gives the jobs of a call that is over back to the host, and the lane
// to the rows that wait.
func (e *Engine[K, R]) finish(l *lane[K, R], err error) {
	if err != nil {
		err = fmt.Errorf("engine: a call of %d rows on lane %d: %w", len(l.rows), l.number, err)
	}
	e.mu.Lock()
	e.account()
	l.busy += e.meter.last.Sub(l.began)
	l.running = false
	e.free++
	l.settle = l.settle[:0]
	for _, p := range l.parts {
		p.job.pending -= p.rows
		if err != nil {
			e.fail(p.job, err)
		}
		if p.job.pending == 0 {
			e.settle(p.job)
			l.settle = append(l.settle, p.job)
		}
	}
	if l.ctx.Err() != nil {
		l.ctx, l.cancel = context.WithCancel(context.Background())
	}
	clear(l.rows)
	clear(l.parts)
	l.rows, l.parts = l.rows[:0], l.parts[:0]
	e.dispatch()
	e.mu.Unlock()

	// Jobs are woken after other lanes have their next call, and where they
	// don't run into the lock at once.
	for _, j := range l.settle {
		j.done <- struct{}{}
	}
	clear(l.settle)
}
