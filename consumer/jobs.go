package consumer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
)

// jobs are those that are being rendered, or wait for the device.
type jobs struct {
	mu  sync.Mutex
	all map[*running]struct{}
}

// running is a job that is being rendered.
type running struct {
	queue *batch.Queue
	batch batch.Batch
	end   context.CancelCauseFunc

	mu          sync.Mutex
	first, last time.Time // of steps
	done, steps int
	from        int // steps before the first one seen
}

func (j *jobs) add(r *running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil {
		j.all = map[*running]struct{}{}
	}
	j.all[r] = struct{}{}
}

func (j *jobs) remove(r *running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.all, r)
}

// preempt ends the jobs that are chosen, so that they go on later.
func (j *jobs) preempt(choose func(*running) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for r := range j.all {
		if choose(r) {
			r.end(job.ErrPreempted)
		}
	}
}

// cancel ends the jobs of a batch.
func (j *jobs) cancel(b batch.Batch, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for r := range j.all {
		if r.batch == b {
			r.end(why)
		}
	}
}

// batches are those of the jobs, by queue.
func (j *jobs) batches() map[*batch.Queue][]batch.Batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := map[*batch.Queue][]batch.Batch{}
	for r := range j.all {
		if !slices.Contains(found[r.queue], r.batch) {
			found[r.queue] = append(found[r.queue], r.batch)
		}
	}
	return found
}

// step notes that a step is done.
func (r *running) step(done, steps int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.done, r.steps = time.Now(), done, steps
	if r.first.IsZero() {
		r.first, r.from = r.last, done
	}
}

// left is how long the job takes from now on, as far as its steps tell: the
// steps that are left and as long as two of them, or a tenth of all, for what
// follows. A job without two steps says nothing.
func (r *running) left() time.Duration {
	const unknown = time.Duration(1<<63 - 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done <= r.from {
		return unknown
	}
	one := r.last.Sub(r.first) / time.Duration(r.done-r.from)
	return one*time.Duration(r.steps-r.done+max(2, r.steps/10)) - time.Since(r.last)
}
