// Package engine keeps a device full by batching denoiser calls by step.
//
// Each job runs its own sampler in its own goroutine and asks the engine to
// evaluate a row or two at a time. The engine gathers the rows of many jobs
// into calls: jobs of different samplers, timesteps and step counts share a
// call as long as they agree on their group. A job joins when it is ready for
// its first step and leaves after its last:
//
//	job, err := e.Join(group)
//	if err != nil {
//		return err
//	}
//	defer job.Leave()
//	for each step {
//		err := job.Denoise(ctx, rows...)
//	}
//
// A device has lanes, the calls that it runs side by side: one on a GPU, as
// many as cores on a CPU. A free lane fires as soon as waiting can bring it
// nothing: when no active job is computing on the host, since each of them
// waits or is in flight, or when a group has a full call of rows. No timer is
// involved, so the engine adds no delay and its decisions can be replayed.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned by Join and Denoise once the engine is closing.
var ErrClosed = errors.New("engine: closed")

// ErrLeft is returned by a Denoise of a job that has left.
var ErrLeft = errors.New("engine: the job has left")

// Config is the shape of the device.
type Config struct {
	Lanes int // calls that run side by side, at least 1
	Rows  int // the most rows of one call, at least 1; Limit sets a group's own
}

// Call evaluates the rows of one call, all of one group, on one lane
// (0 .. Lanes-1). Calls run concurrently, never two at a time on a lane, so
// that buffers kept by lane need no lock.
//
// The slice is the engine's and is valid until the call returns; so is what the
// rows point to, which jobs don't touch while their rows are in flight. An
// error or a panic goes to the jobs of this call and to no other. The context
// is cancelled when no job of the call wants its result any more; returning
// early is then allowed, not required.
type Call[K comparable, R any] func(ctx context.Context, lane int, group K, rows []R) error

// Engine shares a device among jobs. K tells which rows may stand in one call;
// R is a row, usually a pointer to or a small struct of the buffers to read and
// to write. Its methods are safe for concurrent use.
type Engine[K comparable, R any] struct {
	cfg     Config
	call    Call[K, R]
	serving sync.WaitGroup // the lanes' goroutines

	mu        sync.Mutex
	closed    bool
	lanes     []*lane[K, R]
	free      int // lanes that run no call
	active    int // jobs between Join and Leave
	computing int // active jobs that neither wait nor are in flight
	waiting   int // rows that wait for a call
	age       uint64
	groups    map[K]*group[K, R]
	limits    map[K]int      // of rows a call, of groups that have one of their own
	ready     []*group[K, R] // groups with waiting rows
	planner   planner
	queues    []queue // what the planner is shown, reused
	meter     meter
}

// New starts an engine, whose lanes make the calls. Close stops it.
func New[K comparable, R any](cfg Config, call Call[K, R]) (*Engine[K, R], error) {
	if cfg.Lanes < 1 {
		return nil, fmt.Errorf("engine: %d lanes: at least 1 is needed", cfg.Lanes)
	}
	if cfg.Rows < 1 {
		return nil, fmt.Errorf("engine: %d rows a call: at least 1 is needed", cfg.Rows)
	}
	e := &Engine[K, R]{
		cfg:    cfg,
		call:   call,
		lanes:  make([]*lane[K, R], cfg.Lanes),
		free:   cfg.Lanes,
		groups: make(map[K]*group[K, R]),
		limits: make(map[K]int),
	}
	e.meter.last = time.Now()
	for i := range e.lanes {
		l := newLane[K, R](i, cfg.Rows)
		e.lanes[i] = l
		e.serving.Go(func() { e.serveLane(l) })
	}
	return e, nil
}

// Join makes a job active. Until it leaves, the engine counts on its next rows:
// what takes the host long (decoding a picture, writing a file) belongs before
// Join or after Leave.
//
// A job that needs results of other groups before it has the rows of a step
// joins those as well: keys are the step's own group first, then those that lead
// to it, whose rows it sends by [Job.DenoiseIn]. They are evaluated before other
// rows, so that the job meets the others in its step's own group.
func (e *Engine[K, R]) Join(keys ...K) (*Job[K, R], error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	j := &Job[K, R]{engine: e, done: make(chan struct{}, 1)}
	for i, key := range keys {
		g := e.enter(key)
		g.leads = g.leads || i > 0
		j.groups = append(j.groups, g)
	}
	e.account()
	e.active++
	e.computing++
	return j, nil
}

// enter returns a group with one more member.
func (e *Engine[K, R]) enter(key K) *group[K, R] {
	g := e.groups[key]
	if g == nil {
		g = &group[K, R]{key: key, limit: e.cfg.Rows}
		if limit, ok := e.limits[key]; ok {
			g.limit = limit
		}
		e.groups[key] = g
	}
	g.members++
	return g
}

// Limit sets the most rows of a call of one group, from the next call on: fewer
// than Config.Rows where larger calls ran out of memory, one where rows gain
// nothing from each other's company. Less than 1 is taken as 1.
func (e *Engine[K, R]) Limit(key K, rows int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rows = max(rows, 1)
	e.limits[key] = rows
	if g := e.groups[key]; g != nil {
		g.limit = rows
		e.dispatch()
	}
}

// Close refuses what comes from now on, evaluates the rows that wait and those
// in flight, and returns when the last call is over. It may be called more than
// once.
func (e *Engine[K, R]) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		e.dispatch()
	}
	e.mu.Unlock()
	e.serving.Wait()
}

// fail gives up a job's step: rows that wait are withdrawn, rows in flight stay
// with the call that holds their buffers. The first error counts.
func (e *Engine[K, R]) fail(j *Job[K, R], err error) {
	if j.err != nil {
		return
	}
	j.err = err
	if n := len(j.rows) - j.fired; n > 0 {
		e.account()
		j.fired += n
		j.pending -= n
		j.group.rows -= n
		e.waiting -= n
		j.group.remove(j)
		if j.group.rows == 0 {
			e.ready = slices.DeleteFunc(e.ready, func(g *group[K, R]) bool { return g == j.group })
		}
	}
	for _, l := range e.lanes {
		l.cancelUnwanted(j)
	}
}

// settle gives a job whose rows are all accounted for back to the host.
func (e *Engine[K, R]) settle(j *Job[K, R]) {
	clear(j.rows)
	if !j.left {
		e.computing++
	}
}
