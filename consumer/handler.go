package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
)

// process handles one task. What it returns decides: nil, and the task is
// gone; an error, and it comes back after a while. A task that is to go back
// to the head of the queue does not return at all before asynq has put it
// there, which asynq does at its shutdown.
func (c *Consumer) process(ctx context.Context, t *asynq.Task) error {
	c.crew.count(1, 1)
	defer c.crew.count(-1, 0)
	err := c.handle(ctx, t)
	c.crew.count(0, -1)
	if errors.Is(err, errStopped) {
		<-ctx.Done()
	}
	return err
}

func (c *Consumer) handle(ctx context.Context, t *asynq.Task) error {
	if c.stopping.Err() != nil {
		return errStopped
	}
	task, err := batch.ParseTask(t.Payload())
	if errors.Is(err, batch.ErrVersion) {
		c.cfg.Log.Warn("leaving a task to others", "error", err)
		return err
	}
	if err != nil { // the manifest knows better which lines there are
		c.cfg.Log.Error("dropping a task", "error", err)
		return nil
	}
	var b batch.Batch
	err = c.persist(func(ctx context.Context) error {
		b, err = c.opened.get(task, func() (batch.Batch, error) { return batch.Open(ctx, c.cfg.Store, task.Batch) })
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if b.Manifest != task.Manifest {
		c.cfg.Log.Debug("dropping a task of a manifest that no longer stands", "batch", task.Batch)
		return nil
	}
	switch t.Type() {
	case batch.TypeFeed:
		ctx, cancel := c.untilStopped(ctx)
		defer cancel()
		if err = c.cfg.Queue.Feed(ctx, c.cfg.Store, b, task.Shard); err != nil && c.stopping.Err() != nil {
			return errStopped
		}
		return err
	case batch.TypeJob:
		line, err := task.Line()
		if err != nil {
			c.cfg.Log.Error("leaving a task to others", "error", err)
			return err
		}
		return c.line(ctx, b, line)
	default:
		c.cfg.Log.Error("dropping a task of an unknown type", "type", t.Type())
		return nil
	}
}

// line brings one line to its record.
func (c *Consumer) line(ctx context.Context, b batch.Batch, l batch.Line) error {
	commit := batch.Commit{Store: c.cfg.Store, Batch: b}
	var record *batch.Record
	err := c.persist(func(ctx context.Context) (err error) {
		record, err = commit.Start(ctx, l)
		return err
	})
	if err != nil {
		return err
	}
	if record != nil {
		c.committed(b, l, *record)
		return nil
	}

	var before batch.Attempts
	if retried, _ := asynq.GetRetryCount(ctx); retried > 0 {
		if before, err = c.cfg.Queue.Attempts(ctx, b, l.Index); err != nil {
			return err
		}
	}
	picture, err := c.render(ctx, l)
	switch {
	case err == nil:
		err = c.persist(func(ctx context.Context) (err error) {
			record, err = commit.Done(ctx, l, picture, before.Count+1)
			return err
		})
	case errors.Is(err, errStopped) || ctx.Err() != nil:
		return err
	default:
		record, err = c.failed(ctx, commit, l, before, err)
	}
	if err != nil {
		return err
	}
	if before.Count > 0 {
		if err := c.cfg.Queue.ForgetAttempts(ctx, b, l.Index); err != nil {
			c.cfg.Log.Debug("an old count stays", "error", err)
		}
	}
	c.committed(b, l, *record)
	return nil
}

// failed counts a failed attempt. It returns the cause where there is to be
// another one, and the line's record, a dead letter, where this was the last.
func (c *Consumer) failed(ctx context.Context, commit batch.Commit, l batch.Line, before batch.Attempts, cause error) (record *batch.Record, err error) {
	now := batch.Attempts{Count: before.Count + 1, Errors: append(before.Errors, cause.Error())}
	now.Errors = now.Errors[max(0, len(now.Errors)-3):]
	c.cfg.Log.Info("a job failed", "batch", commit.Batch.Name, "line", l.Index, "id", l.Spec.ID, "attempt", now.Count, "error", cause)
	class, limit := classify(cause, c.cfg.Attempts)
	if now.Count < limit {
		if err := c.cfg.Queue.SetAttempts(ctx, commit.Batch, l.Index, now); err != nil {
			return nil, err
		}
		return nil, cause
	}
	failure := batch.Failure{Class: class, Errors: now.Errors, Attempts: now.Count}
	err = c.persist(func(ctx context.Context) (err error) {
		record, err = commit.Fail(ctx, l, failure)
		return err
	})
	return record, err
}

// render renders a line's job, when the device has room for it.
func (c *Consumer) render(ctx context.Context, l batch.Line) (p job.Picture, err error) {
	ctx, cancel := c.untilStopped(ctx)
	defer cancel()
	select {
	case c.device <- struct{}{}:
		// Given back when the renderer returns, whatever became of the task
		// meanwhile: the device never has more than its jobs.
		defer func() { <-c.device }()
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	ctx, stuck := context.WithCancelCause(ctx)
	defer stuck(nil)
	watch := time.AfterFunc(c.cfg.StepTimeout, func() { stuck(fmt.Errorf("%w: %v", errStuck, c.cfg.StepTimeout)) })
	defer watch.Stop()
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			c.cfg.Log.Error("a renderer panicked", "line", l.Index, "panic", v, "stack", string(stack))
			err = &panicked{v, stack}
		} else if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	p, err = c.cfg.Renderer.Render(ctx, l.Spec, func(step, steps int) {
		watch.Reset(c.cfg.StepTimeout)
		if c.cfg.Step != nil {
			c.cfg.Step(l.Index, step, steps)
		}
	})
	if want := batch.Ext(l.Spec.Format); err == nil && p.Ext != want {
		err = job.Bad(fmt.Errorf("rendered a .%s, want a .%s", p.Ext, want))
	}
	return p, err
}

// untilStopped is a task's context that ends with the consumer's stop as well.
func (c *Consumer) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.stopping, func() { cancel(errStopped) })
	return ctx, func() { unhook(); cancel(nil) }
}

// persist calls the store until it answers. Once a picture is rendered it is
// held here, however long the store is away, and not rendered again. It
// returns errStopped where the consumer stops first.
func (c *Consumer) persist(do func(ctx context.Context) error) error {
	var away awaySince
	for n := 0; ; n++ {
		err := do(c.ending)
		if err == nil {
			return nil
		}
		since := away.note(err)
		if c.cfg.Patience > 0 && (since > c.cfg.Patience || n >= 2 && hopeless(err)) {
			c.stop(fmt.Errorf("the store fails: %w", err))
		}
		if c.stopping.Err() != nil {
			return errStopped
		}
		if n == 0 {
			c.cfg.Log.Warn("the store fails; trying again", "error", err)
		}
		pause(c.stopping, backoff(n, 100*time.Millisecond, 30*time.Second))
	}
}

// committed tells that a line has its record.
func (c *Consumer) committed(b batch.Batch, l batch.Line, r batch.Record) {
	// Lost with Redis, progress is rebuilt from the store.
	if err := c.cfg.Queue.Mark(c.ending, b, l.Index, r.Status); err != nil {
		c.cfg.Log.Debug("progress is behind", "error", err)
	}
	c.cfg.Log.Debug("a line has its record", "batch", b.Name, "line", l.Index, "status", r.Status)
	if c.cfg.Committed == nil {
		return
	}
	e := Event{Batch: b.Name, Record: r, Name: b.RecordName(l)}
	if r.Status == batch.Done {
		e.Picture = b.PictureName(l)
	}
	c.commit.Lock()
	defer c.commit.Unlock()
	c.cfg.Committed(e)
}
