package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
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
	if c.taking.Err() != nil || c.stopping.Err() != nil {
		return errStopped
	}
	name, _ := asynq.GetQueueName(ctx)
	q := c.queues[name]
	task, err := batch.ParseTask(t.Payload())
	if errors.Is(err, batch.ErrVersion) {
		c.cfg.Log.Warn("leaving a task to others", "error", err)
		return err
	}
	if err != nil { // the manifest knows better which lines there are
		c.cfg.Log.Error("dropping a task", "error", err)
		return nil
	}
	if t.Type() == batch.TypeSchedule { // its batch is yet to be opened
		c.cfg.Log.Info("the time of a schedule has come", "schedule", task.Batch, "slot", time.Unix(task.Slot, 0).UTC())
		ctx, cancel := c.untilStopped(ctx)
		defer cancel()
		if err = q.RunSchedule(ctx, c.cfg.Store, task, time.Now()); err != nil && c.stopping.Err() != nil {
			return errStopped
		}
		return err
	}
	b, err := c.opened.get(task, func() (b opened, err error) {
		err = c.persist(func(ctx context.Context) error {
			b, err = c.open(ctx, task.Batch)
			if errors.Is(err, storage.ErrNotFound) {
				return nil
			}
			return err
		})
		return b, err
	})
	switch {
	case err != nil:
		return err
	case b.Manifest != task.Manifest:
		c.cfg.Log.Debug("dropping a task of a manifest that no longer stands", "batch", task.Batch)
		return nil
	case task.Index >= b.Lines || task.Shard >= b.Shards():
		c.cfg.Log.Error("dropping a task of a line that its batch doesn't have", "batch", task.Batch, "line", task.Index, "shard", task.Shard)
		return nil
	case b.cancelled:
		c.cfg.Log.Debug("dropping a task of a cancelled batch", "batch", task.Batch)
		return nil
	}
	switch t.Type() {
	case batch.TypeFeed:
		return c.feed(ctx, q, b.Batch, task.Shard)
	case batch.TypeJob:
		return c.line(ctx, q, b.Batch, task.Line())
	default:
		c.cfg.Log.Error("dropping a task of an unknown type", "type", t.Type())
		return nil
	}
}

// feed feeds a shard of a batch. Where that fails its task comes back.
func (c *Consumer) feed(ctx context.Context, q *batch.Queue, b batch.Batch, shard int) error {
	ctx, cancel := c.untilStopped(ctx)
	defer cancel()
	err := q.Feed(ctx, c.cfg.Store, b, shard)
	if err != nil && c.stopping.Err() != nil {
		return errStopped
	}
	c.feeding.Lock()
	defer c.feeding.Unlock()
	since := c.unfed.note(err)
	if err != nil {
		c.cfg.Log.Warn("a batch can't be fed; trying again", "batch", b.Name, "shard", shard, "error", err)
	}
	if c.cfg.Patience > 0 && since > c.cfg.Patience {
		c.stop(fmt.Errorf("feeding the batch: %w", err))
	}
	return err
}

// line brings one line to its record.
func (c *Consumer) line(ctx context.Context, q *batch.Queue, b batch.Batch, l batch.Line) error {
	commit := batch.Commit{Store: c.cfg.Store, Batch: b}
	var record *batch.Record
	err := c.persist(func(ctx context.Context) (err error) {
		record, err = commit.Start(ctx, l)
		return err
	})
	if err != nil {
		return err
	}
	if record != nil { // of one that died before it had cleared up, maybe
		return c.ended(ctx, q, b, l, *record, true, true)
	}

	before, suspect, err := c.past(ctx, q, b, l.Index)
	if err != nil {
		return err
	}
	if before.Crashes >= mostCrashes {
		poison := batch.Failure{Class: classPoison, Errors: before.Errors, Attempts: before.Count + before.Crashes}
		if err := c.persist(func(ctx context.Context) (err error) {
			record, err = commit.Fail(ctx, l, poison)
			return err
		}); err != nil {
			return err
		}
		c.cfg.Metrics.Ended(q.Name(), *record)
		return c.ended(ctx, q, b, l, *record, true, true)
	}
	order := job.Order{Spec: l.Spec}
	kept := false
	if err := c.persist(func(ctx context.Context) (err error) {
		order.Checkpoint, kept, err = c.checkpoint(ctx, b, l)
		return err
	}); err != nil {
		return err
	}
	picture, err := c.render(ctx, q, b, l, order, suspect || before.Alone)
	if errors.Is(err, job.ErrPreempted) {
		c.cfg.Metrics.Preempted(q.Name())
	}
	var preempted *job.Preempted
	switch {
	case err == nil:
		begin := time.Now()
		err = c.persist(func(ctx context.Context) (err error) {
			record, err = commit.Done(ctx, l, picture, before.Count+1)
			return err
		})
		c.cfg.Metrics.Stage("publish", time.Since(begin).Seconds())
	case errors.As(err, &preempted):
		if err := c.persist(func(ctx context.Context) error { return c.keep(ctx, b, l, preempted.Checkpoint) }); err != nil {
			c.cfg.Log.Warn("a job will begin again", "batch", b.Name, "line", l.Index, "error", err)
		}
		return errStopped
	case errors.Is(err, job.ErrPreempted):
		return errStopped
	case errors.Is(err, errCancelled):
		return nil
	case errors.Is(err, errStopped) || errors.Is(err, errRedis) || ctx.Err() != nil:
		return err
	case job.ClassOf(err) == job.NoModel && !c.cfg.one:
		c.cfg.Log.Warn("leaving a job to others", "batch", b.Name, "line", l.Index, "error", err)
		c.cfg.Metrics.WithoutModel(q.Name())
		return fmt.Errorf("%w: %w", errElsewhere, err)
	default:
		record, err = c.failed(ctx, q, commit, l, before, err)
	}
	if err != nil {
		return err
	}
	c.cfg.Metrics.Ended(q.Name(), *record)
	return c.ended(ctx, q, b, l, *record, before.Count+before.Crashes > 0, kept)
}

// ended clears up after a line that has its record: its count of attempts and
// its checkpoint, where there may be such. Then it tells of the line.
func (c *Consumer) ended(ctx context.Context, q *batch.Queue, b batch.Batch, l batch.Line, r batch.Record, counted, kept bool) error {
	if counted {
		if err := q.ForgetAttempts(ctx, b, l.Index); err != nil {
			c.cfg.Log.Debug("an old count stays", "error", err)
		}
	}
	if kept {
		if err := c.persist(func(ctx context.Context) error { return c.cfg.Store.Delete(ctx, b.CheckpointName(l)) }); err != nil {
			return err
		}
	}
	c.committed(q, b, l, r)
	return nil
}

// failed counts a failed attempt. It returns the cause where there is to be
// another one, and the line's record, a dead letter, where this was the last.
func (c *Consumer) failed(ctx context.Context, q *batch.Queue, commit batch.Commit, l batch.Line, before batch.Attempts, cause error) (record *batch.Record, err error) {
	now := before
	now.Count++
	now.Errors = lastThree(append(now.Errors, cause.Error()))
	now.Alone = before.Alone || job.ClassOf(cause) == job.OutOfMemory
	c.cfg.Log.Info("a job failed", "batch", commit.Batch.Name, "line", l.Index, "id", l.Spec.ID, "attempt", now.Count, "error", cause)
	if p, ok := errors.AsType[panicker](cause); ok {
		c.cfg.Log.Error("a renderer panicked", "batch", commit.Batch.Name, "line", l.Index, "error", cause, "stack", string(p.PanicStack()))
	}
	class, limit := classify(cause, c.cfg.Attempts, before.Alone)
	c.cfg.Metrics.AttemptFailed(q.Name(), class)
	if now.Count < limit {
		if err := q.SetAttempts(ctx, commit.Batch, l.Index, now); err != nil {
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
func (c *Consumer) render(ctx context.Context, q *batch.Queue, b batch.Batch, l batch.Line, order job.Order, alone bool) (p job.Picture, err error) {
	if l.Fault != nil {
		return p, job.Bad(l.Fault)
	}
	ctx, cancel := c.untilStopped(ctx)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &running{queue: q, batch: b, end: end}
	c.jobs.add(r) // from now on, waiting for the device as well
	defer c.jobs.remove(r)
	// Given back when the renderer returns, whatever became of the task
	// meanwhile: the device never has more than its jobs.
	giveBack, err := c.takeDevice(ctx, alone)
	if err != nil {
		return p, err
	}
	defer giveBack()
	defer c.cfg.Metrics.Running(q.Name())()
	if !c.cfg.one {
		// The wait for the device may have been long. If Redis or the store
		// can't tell, the job hears of it after its next step.
		if cancelled, _ := q.Cancelled(ctx, c.cfg.Store, []batch.Batch{b}); len(cancelled) > 0 {
			return p, errCancelled
		}
		err := q.Begin(ctx, b, l.Index, alone || c.cfg.Jobs == 1)
		defer c.over(q, b, l.Index) // also where it was the answer that got lost
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		if err != nil {
			return p, fmt.Errorf("%w: %w", errRedis, err)
		}
	}
	watch := time.AfterFunc(c.cfg.StepTimeout, func() { end(fmt.Errorf("%w: %v", errStuck, c.cfg.StepTimeout)) })
	defer watch.Stop()
	order.Input = func(ctx context.Context, name string) ([]byte, error) {
		watch.Stop() // it is the store's time
		defer watch.Reset(c.cfg.StepTimeout)
		return c.input(ctx, name)
	}
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		} else if _, ok := errors.AsType[*job.Preempted](err); !ok && err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	p, err = c.cfg.Renderer.Render(ctx, order, func(step, steps int) {
		watch.Reset(c.cfg.StepTimeout)
		r.step(step, steps)
		if c.cfg.Step != nil {
			c.cfg.Step(l.Index, step, steps)
		}
	})
	if want := batch.Ext(l.Spec.Format); err == nil && p.Ext != want {
		err = job.Bad(fmt.Errorf("rendered a .%s, want a .%s", p.Ext, want))
	}
	return p, err
}

// input fetches a picture that a job starts from, however long the store is
// away, as long as ctx lasts.
func (c *Consumer) input(ctx context.Context, name string) (data []byte, err error) {
	// A job comes from the queue or the store, where somebody may have had a
	// hand in it: nothing but pictures under their digest is read for it.
	if !job.IsInputName(name) {
		return nil, job.Bad(fmt.Errorf("%.200q is no picture of the store, want inputs/ and its digest", name))
	}
	missing := false
	err = c.persistIn(ctx, func(ctx context.Context) (err error) {
		data, err = c.cfg.Store.Get(ctx, name)
		missing = errors.Is(err, storage.ErrNotFound)
		if missing || errors.Is(err, storage.ErrDamaged) {
			return nil
		}
		return err
	})
	switch sum := sha256.Sum256(data); {
	case err != nil:
		return nil, err
	case missing:
		return nil, job.Bad(fmt.Errorf("%s is not in the store; when the batch's file is read again, it is put there", name))
	case !strings.HasPrefix(name, job.InputName(hex.EncodeToString(sum[:]), "")):
		return nil, job.Bad(fmt.Errorf("%s is not what its name says: delete it, and it is put there anew when the batch's file is read again", name))
	}
	return data, nil
}

// untilStopped is a task's context that ends with the consumer's stop as well.
func (c *Consumer) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.stopping, func() { cancel(job.ErrPreempted) })
	return ctx, func() { unhook(); cancel(nil) }
}

// persist calls the store until it answers. Once a picture is rendered it is
// held here, however long the store is away, and not rendered again. It
// returns errStopped where the consumer stops first, and at once what is
// damaged, [batch.ErrDamaged]: somebody has to mend that, and its task comes
// back until then, without a place among those that work.
func (c *Consumer) persist(do func(ctx context.Context) error) error {
	return c.persistIn(c.ending, do)
}

// persistIn is persist for as long as ctx lasts, which is no longer than c.ending.
func (c *Consumer) persistIn(ctx context.Context, do func(ctx context.Context) error) error {
	var away awaySince
	for n := 0; ; n++ {
		err := do(ctx)
		if err == nil {
			return nil
		}
		since := away.note(err)
		if c.cfg.Patience > 0 && (since > c.cfg.Patience || n >= 2 && hopeless(err)) {
			c.stop(fmt.Errorf("the store fails: %w", err))
		}
		if ctx.Err() != nil || c.stopping.Err() != nil && c.Err() != nil {
			return errStopped
		}
		if c.cfg.Patience == 0 && errors.Is(err, batch.ErrDamaged) {
			c.cfg.Log.Warn("leaving a task until what it needs is mended", "error", err)
			return err
		}
		if n == 0 {
			c.cfg.Log.Warn("the store fails; trying again", "error", err)
		}
		pause(ctx, backoff(n, 100*time.Millisecond, 30*time.Second))
	}
}

// committed tells that a line has its record.
func (c *Consumer) committed(q *batch.Queue, b batch.Batch, l batch.Line, r batch.Record) {
	// Lost with Redis, progress is rebuilt from the store.
	if err := q.Mark(c.ending, b, r); err != nil {
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
