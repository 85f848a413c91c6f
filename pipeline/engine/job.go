package engine

import (
	"context"
	"errors"
	"sync/atomic"
)

// Job is one job's place in the engine, from Join to Leave. Its methods are for
// the one goroutine that runs the job, but that Leave may be called from any.
type Job[K comparable, R any] struct {
	engine  *Engine[K, R]
	groups  []*group[K, R]
	done    chan struct{} // one token for each step that is over
	stepped atomic.Bool   // a Denoise is under way

	// Under the engine's lock.
	group      *group[K, R] // of the step under way, or of the last
	rows       []R          // of the step under way
	fired      int          // how many of them have been given to calls
	pending    int          // how many are still to be evaluated
	err        error
	left       bool
	age        uint64
	prev, next *Job[K, R] // neighbours in the group's queue
}

// Denoise has the rows of one step evaluated, one row or, with guidance, two,
// and returns when all of them are. What the rows point to belongs to the
// engine until then.
//
// Its errors are the cause of a cancelled context, what the call returned
// (a *PanicError where it panicked), ErrClosed and ErrLeft. A cancelled job
// whose rows wait returns at once; one whose rows are in flight returns when
// their call is over. After an error the rows' contents are undefined, the job
// is still active, and the step may be tried again.
func (j *Job[K, R]) Denoise(ctx context.Context, rows ...R) error {
	return j.DenoiseIn(ctx, 0, rows...)
}

// DenoiseIn is Denoise for rows of the i-th of the groups that the job joined.
func (j *Job[K, R]) DenoiseIn(ctx context.Context, i int, rows ...R) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(rows) == 0 {
		return nil
	}
	if !j.stepped.CompareAndSwap(false, true) {
		return errors.New("engine: Denoise called while the job's last one is under way: a job is one goroutine's")
	}
	defer j.stepped.Store(false)

	if err := j.wait(j.groups[i], rows); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		j.abandon(context.Cause(ctx))
		<-j.done
	}
	return j.err
}

// wait puts a step's rows into the group's queue.
func (j *Job[K, R]) wait(g *group[K, R], rows []R) error {
	e := j.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case j.left:
		return ErrLeft
	}
	j.group = g
	j.rows = append(j.rows[:0], rows...)
	j.fired, j.pending, j.err = 0, len(rows), nil
	j.age = e.age
	e.age++
	if e.waiting == 0 && e.free > 0 {
		e.account()
	}
	if j.group.rows == 0 {
		e.ready = append(e.ready, j.group)
	}
	j.group.push(j)
	j.group.rows += len(rows)
	e.waiting += len(rows)
	e.computing--
	e.dispatch()
	return nil
}

// abandon fails the step under way, if it still is.
func (j *Job[K, R]) abandon(err error) {
	e := j.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if j.pending == 0 {
		return
	}
	e.fail(j, err)
	if j.pending == 0 {
		e.settle(j)
		j.done <- struct{}{}
	}
	e.dispatch()
}

// Leave ends the job's part: the engine no longer waits for it. A second Leave
// does nothing; a Denoise under way returns ErrLeft.
func (j *Job[K, R]) Leave() {
	e := j.engine
	e.mu.Lock()
	if j.left {
		e.mu.Unlock()
		return
	}
	e.account()
	j.left = true
	e.active--
	for _, g := range j.groups {
		if g.members--; g.members == 0 {
			delete(e.groups, g.key)
		}
	}
	if j.pending == 0 {
		e.computing--
		e.dispatch()
	}
	e.mu.Unlock()
	j.abandon(ErrLeft)
}

// group is the rows that may stand in one call, and the queue of the jobs that
// have some waiting, oldest first.
type group[K comparable, R any] struct {
	key        K
	members    int  // jobs that have joined
	limit      int  // the most rows of a call
	leads      bool // to rows of another group, in the same step
	rows       int  // waiting
	head, tail *Job[K, R]
	gaveWay    bool // to a younger group, since its last call
	fired      bool // in the dispatch under way

	// What look saw.
	seen  []*Job[K, R]
	sizes []int
}

func (g *group[K, R]) push(j *Job[K, R]) {
	j.prev = g.tail
	if g.tail == nil {
		g.head = j
	} else {
		g.tail.next = j
	}
	g.tail = j
}

func (g *group[K, R]) remove(j *Job[K, R]) {
	if j.prev == nil {
		g.head = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		g.tail = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
}

// look lists the oldest jobs with at least so many waiting rows between them.
func (g *group[K, R]) look(rows int) {
	g.seen, g.sizes = g.seen[:0], g.sizes[:0]
	for j := g.head; j != nil && rows > 0; j = j.next {
		n := len(j.rows) - j.fired
		g.seen = append(g.seen, j)
		g.sizes = append(g.sizes, n)
		rows -= n
	}
}
