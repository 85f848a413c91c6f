package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
)

// Run works on one batch until each of its lines has its record, and tells
// how many have a picture and how many a dead letter. The queue must be the
// run's alone: it is cleared before and after.
//
// When ctx is done, Run ends after the steps at hand with an error that wraps
// ctx's cause. It also ends with an error when the store or Redis has been
// away for longer than [Config].Patience. Run again, it goes on with what is
// missing: nothing that has its record is rendered twice.
func Run(ctx context.Context, cfg Config, b batch.Batch) (batch.Counts, error) {
	cfg.one, cfg.Queues = true, nil
	cfg, err := cfg.withDefaults()
	if err != nil {
		return batch.Counts{}, err
	}
	if err := cfg.Queue.Clear(ctx); err != nil {
		return batch.Counts{}, err
	}
	found, err := batch.Reconcile(ctx, cfg.Store, cfg.Queue, b)
	if err != nil {
		return batch.Counts{}, err
	}
	if cfg.Opened != nil {
		cfg.Opened(found)
	}
	counts := found.Counts
	if counts.Open() > 0 {
		if counts, err = serve(ctx, cfg, b, found); err != nil {
			return counts, fmt.Errorf("batch %s, with %d of %d lines done: %w", b.Name, counts.Done+counts.Failed, counts.Lines, err)
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Grace)
	defer cancel()
	return counts, b.Finish(ending, cfg.Store, counts)
}

// stalled is after how long without a commit what is open is enqueued again:
// tasks can be lost with Redis. A variable for the tests.
var stalled = time.Minute

// serve runs a consumer until no line is open.
func serve(ctx context.Context, cfg Config, b batch.Batch, found batch.Found) (batch.Counts, error) {
	counts := found.Counts
	finished := make(chan struct{})
	beat := make(chan struct{}, 1)
	tell := cfg.Committed
	cfg.Committed = func(e Event) { // one call at a time
		if !found.Recorded.Set(e.Record.Index) {
			return // told before: asynq runs a task at least once
		}
		if e.Record.Status == batch.Done {
			counts.Done++
		} else {
			counts.Failed++
		}
		if tell != nil {
			tell(e)
		}
		select {
		case beat <- struct{}{}:
		default:
		}
		if counts.Open() == 0 {
			close(finished)
		}
	}
	if err := cfg.Queue.EnqueueFeed(ctx, b, 0); err != nil {
		return counts, err
	}
	c, err := New(cfg)
	if err != nil {
		return counts, err
	}
	err = c.Start(ctx)
	stall := time.NewTimer(stalled)
	defer stall.Stop()
	for waiting := err == nil; waiting; {
		select {
		case <-finished:
			waiting = false
		case <-ctx.Done():
			err, waiting = context.Cause(ctx), false
		case <-c.Broken():
			err, waiting = c.Err(), false
		case <-beat:
			stall.Reset(stalled)
		case <-stall.C:
			stall.Reset(stalled)
			if err := cfg.Queue.EnqueueFeed(ctx, b, 0); err != nil {
				cfg.Log.Warn("the queue fails", "error", err)
			}
		}
	}
	c.Hurry() // all that is done is kept, and nobody waits for the rest
	c.Shutdown()
	clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if lost := cfg.Queue.Clear(clearing); lost != nil {
		cfg.Log.Debug("the queue stays", "error", lost) // the next run clears it
	}
	c.commit.Lock() // a job that doesn't heed its end might still commit
	defer c.commit.Unlock()
	if counts.Open() == 0 {
		err = nil // the last line came in after all
	}
	return counts, err
}
