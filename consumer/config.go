// Package consumer takes jobs off queues and brings their pictures into a
// store.
//
// A [Consumer] serves queues, and looks after their batches, until it is shut
// down. [Run] serves one batch until each of its lines has its record. Both need a [Renderer], which they
// declare here and know nothing else about.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/darkroom/darkroom/consumer/metrics"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// Renderer renders one job. It may be called from several goroutines at once,
// at most [Config].Jobs. When ctx is done it returns soon, at the latest after
// the step at hand. It calls progress after each step. An error is tried
// again a few times, and then a dead letter, unless its class ([job.ClassOf])
// says more. A panic ends this job only; one that the renderer catches itself is
// told as a panic where its error has a method PanicStack() []byte. Where the cause of ctx is
// [job.ErrPreempted], the error may be a [job.Preempted], whose checkpoint then
// comes with another order of the same job, here or elsewhere.
type Renderer interface {
	Render(ctx context.Context, order job.Order, progress func(step, steps int)) (job.Picture, error)
}

// Config says what a consumer works with. Store, Queue and Renderer must be
// set; zero values of the rest mean what is said beside them.
type Config struct {
	Store    storage.Store
	Queue    *batch.Queue
	Renderer Renderer

	// Queues are the names of the queues to be served, in Queue's Redis, with
	// their weights: of tasks that wait in two queues of weights 3 and 1 three
	// of four are the first one's. Nil: Queue alone.
	Queues map[string]int

	// Jobs is how many jobs are rendered at once; 0: 1.
	Jobs int
	// Attempts is how many failed attempts make a dead letter, where nothing
	// says that another one is in vain; 0: 3.
	Attempts int
	// StepTimeout is how long a job may go without a step, but for the time that
	// the store takes for its inputs; 0: 15 minutes.
	StepTimeout time.Duration
	// Grace is how long a shutdown takes at most, for jobs that will be done by
	// then, the steps at hand of the others, and for pictures and checkpoints
	// to reach the store; 0: 10 seconds.
	Grace time.Duration
	// Patience is how long Redis or the store may be away before the consumer
	// gives up, with an error; 0: for ever.
	Patience time.Duration
	// Tend is how often the queues' open batches are looked after; 0: every minute.
	Tend time.Duration

	// Opened is called by [Run] before it begins, with how the batch stands;
	// nil: not at all.
	Opened func(batch.Found)
	// Committed is called after a line's record is there, one call at a time;
	// nil: not at all.
	Committed func(Event)
	// Step is called after each step of a job, from any goroutine; nil: not at all.
	Step func(index, step, steps int)
	// Metrics count what the consumer does; nil: nobody sees them.
	Metrics *metrics.Metrics
	// Log is where faults that are mended are told; nil: slog's default.
	Log *slog.Logger

	// one is set for a run of one batch: there are no others to leave a job to,
	// and nobody else's batches to look after.
	one bool
}

// Event is a line that has its record.
type Event struct {
	Batch   string
	Record  batch.Record // its Timing says how long the picture took
	Picture string       // the object's name in the store; empty for a dead letter
	Name    string       // the record's
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Queue == nil || c.Renderer == nil {
		return c, errors.New("a consumer needs a store, a queue and a renderer")
	}
	if c.Jobs < 0 || c.Attempts < 0 || c.StepTimeout < 0 || c.Grace < 0 || c.Patience < 0 || c.Tend < 0 {
		return c, errors.New("a consumer's jobs, attempts and times must not be below 0")
	}
	c.Jobs = max(c.Jobs, 1)
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.StepTimeout == 0 {
		c.StepTimeout = 15 * time.Minute
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.Tend == 0 {
		c.Tend = time.Minute
	}
	if c.Queues == nil {
		c.Queues = map[string]int{c.Queue.Name(): 1}
	}
	for name, weight := range c.Queues {
		if err := batch.CheckQueue(name); err != nil {
			return c, err
		}
		if weight < 1 {
			return c, fmt.Errorf("queue %q with the weight %d: want 1 or more", name, weight)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	return c, nil
}
