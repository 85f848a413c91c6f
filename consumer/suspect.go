package consumer

import (
	"context"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/hibiken/asynq"
)

// past tells how a line's earlier attempts went, and whether it is a suspect:
// a process died while it rendered this job. Where there was no other job in
// that process, the crash is counted as this one's doing. A suspect is rendered
// alone, so that the next crash tells, and takes no other job with it.
func (c *Consumer) past(ctx context.Context, q *batch.Queue, b batch.Batch, index int) (before batch.Attempts, suspect bool, err error) {
	if c.cfg.one { // its queue is gone with its process
		if retried, _ := asynq.GetRetryCount(ctx); retried > 0 {
			before, err = q.Attempts(ctx, b, index)
		}
		return before, false, err
	}
	past, err := q.Past(ctx, b, index)
	if err != nil {
		return before, false, err
	}
	before = past.Attempts
	if past.CrashedAlone {
		before.Crashes++
		before.Errors = lastThree(append(before.Errors, "the process died while it rendered this job and no other"))
		c.cfg.Log.Warn("a job took its process with it", "batch", b.Name, "line", index, "times", before.Crashes)
		err = q.CountCrash(ctx, b, index, before)
	}
	return before, past.Crashed || before.Crashes > 0, err
}

// over notes that a job's render has returned, also where the consumer ends.
// While Redis is away that waits, beside all else: a job whose render was ended
// because Redis was away would be taken for one that killed its process.
func (c *Consumer) over(q *batch.Queue, b batch.Batch, index int) {
	note := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return q.End(ctx, b, index)
	}
	err := note()
	if err == nil {
		return
	}
	c.cfg.Log.Debug("a job's end is not noted yet", "batch", b.Name, "line", index, "error", err)
	if c.ending.Err() != nil {
		return
	}
	c.watching.Go(func() {
		for n := 0; err != nil && c.ending.Err() == nil; n++ {
			pause(c.ending, backoff(n, 100*time.Millisecond, 2*time.Second))
			err = note()
		}
	})
}

// takeDevice waits for a place on the device, or for all of it.
func (c *Consumer) takeDevice(ctx context.Context, alone bool) (giveBack func(), err error) {
	taken := 0
	giveBack = func() {
		for ; taken > 0; taken-- {
			<-c.device
		}
	}
	places := 1
	if alone { // one at a time: two could wait for each other's places
		if err := c.take(ctx, c.solo); err != nil {
			return nil, err
		}
		defer func() { <-c.solo }()
		places = c.cfg.Jobs
	}
	for ; taken < places; taken++ {
		if err := c.take(ctx, c.device); err != nil {
			giveBack()
			return nil, err
		}
	}
	return giveBack, nil
}

func (c *Consumer) take(ctx context.Context, from chan struct{}) error {
	select {
	case from <- struct{}{}:
		return nil
	case <-c.taking.Done():
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func lastThree(errors []string) []string { return errors[max(0, len(errors)-3):] }
