package batch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// Tended is what a pass over the open batches of a queue came to.
type Tended struct {
	Open     int // batches with lines that have no record
	Finished int // batches whose done.json was written
	Fed      int // batches of which something was missing on the queue
	Swept    int // tasks that asynq had lost sight of
}

// wholeEvery is how long Redis's bitmaps are believed before a batch's objects
// are listed again.
const wholeEvery = time.Hour

// Tend looks after every batch of the queue that is neither done nor
// cancelled: it sweeps the queue, enqueues what is missing on it, and marks as
// done the batches whose lines all have their record. After those cancelled
// lately it clears up. It is called every minute, by one caller at a time (see
// [Queue.Lead]); each call does what the others left undone.
//
// A pass costs some requests a batch, however long that is: progress is read
// from the bitmap. A batch is listed whole, as [Reconcile] does, when Redis
// knows nothing of it, and once an hour. Its tasks are looked for where its
// bitmap stood still since the last pass: then the first shard with an open
// line is fed, which enqueues what has neither a record nor a task. Lost tasks
// of a batch that goes on are found when it stands still in the end.
func (q *Queue) Tend(ctx context.Context, store storage.Store) (Tended, error) {
	var t Tended
	// A Redis that came back empty no longer knows of it: see enqueue.
	if err := q.announce(ctx); err != nil {
		return t, err
	}
	swept, err := q.Sweep(ctx)
	if err != nil {
		return t, err
	}
	t.Swept = swept
	names, err := storage.Top(ctx, store)
	if err != nil {
		return t, fmt.Errorf("looking for batches: %w", err)
	}
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
		if CheckName(name) != nil {
			continue
		}
		// What is wrong with one batch is no harm to the others.
		if err := q.tend(ctx, store, name, swept > 0, &t); err != nil {
			errs = append(errs, err)
		}
	}
	return t, errors.Join(errs...)
}

func (q *Queue) tend(ctx context.Context, store storage.Store, name string, lost bool, t *Tended) error {
	b, err := Open(ctx, store, name)
	if isAbsent(err) {
		return nil
	}
	if err != nil || b.Queue != q.name {
		return err
	}
	if finished, err := b.Finished(ctx, store); err != nil || finished {
		return err
	}
	if cancelled, err := b.Cancelled(ctx, store); err != nil {
		return err
	} else if cancelled {
		return q.tendCancelled(ctx, store, b)
	}
	known, err := q.redis.Exists(ctx, q.whole(b)).Result()
	if err != nil {
		return fmt.Errorf("asking %s for batch %s: %w", q.where, name, err)
	}
	if known == 0 {
		if _, err := Reconcile(ctx, store, q, b); err != nil {
			return err
		}
		if err := q.redis.Set(ctx, q.whole(b), "1", wholeEvery).Err(); err != nil {
			return fmt.Errorf("noting at %s that batch %s is known: %w", q.where, name, err)
		}
	}
	counts, err := q.Count(ctx, b)
	if err != nil {
		return err
	}
	if counts.Open() <= 0 {
		finished, err := q.Finish(ctx, store, b, counts)
		if finished {
			t.Finished++
		}
		return err
	}
	t.Open++
	still, err := q.standsStill(ctx, b, counts)
	if err != nil || !still && !lost && known > 0 {
		return err
	}
	shard, err := q.firstOpen(ctx, b)
	if err != nil {
		return err
	}
	t.Fed++
	return q.EnqueueFeed(ctx, b, shard)
}

// tendCancelled clears up after a batch that was cancelled not long ago. What a
// job leaves that was under way then, a later pass finds.
func (q *Queue) tendCancelled(ctx context.Context, store storage.Store, b Batch) error {
	lately, err := q.redis.Exists(ctx, q.cancelled(b)).Result()
	if err != nil {
		return fmt.Errorf("asking %s for batch %s: %w", q.where, b.Name, err)
	}
	if lately == 0 {
		return nil
	}
	return b.dropCheckpoints(ctx, store)
}

// Finish marks a batch as done, and tells whether it is: a retry may take lines
// back meanwhile.
func (q *Queue) Finish(ctx context.Context, store storage.Store, b Batch, c Counts) (bool, error) {
	if taken, err := q.unmarkTaken(ctx, store, b); err != nil || taken > 0 {
		return false, err
	}
	classes, err := q.failedByClass(ctx, b)
	if err == nil {
		err = b.finish(ctx, store, ending{b.Manifest, c, classes})
	}
	if err != nil {
		return false, err
	}
	// A retry removes the mark behind the lines that it takes back: either it
	// finds this one, or these lines are found here.
	if c, err = q.Count(ctx, b); err != nil {
		return false, err
	}
	if c.Open() > 0 {
		if err := store.Delete(ctx, b.DoneName()); err != nil {
			return false, fmt.Errorf("opening batch %s again: %w", b.Name, err)
		}
		return false, nil
	}
	return true, q.forget(ctx, b)
}

// unmarkTaken opens the lines that count as failed and have no record, and
// returns how many there were: whoever read a dead letter may mark its line just
// after a retry took it back. Pictures are never taken back.
func (q *Queue) unmarkTaken(ctx context.Context, store storage.Store, b Batch) (taken int, err error) {
	for shard := range b.Shards() {
		failed, err := q.bitsOf(ctx, b, shard, Failed)
		if err != nil {
			return taken, err
		}
		if failed.Count() == 0 {
			continue
		}
		lines, err := b.shard(ctx, store, shard)
		if err != nil {
			return taken, err
		}
		open, err := b.open(ctx, store, shard, lines)
		if err != nil {
			return taken, err
		}
		for _, index := range open {
			if !failed.Has(index % ShardLines) {
				continue
			}
			if err := q.unmark(ctx, b, index); err != nil {
				return taken, err
			}
			taken++
		}
	}
	return taken, nil
}

// standsStill tells whether a batch's counts are those of the last pass.
func (q *Queue) standsStill(ctx context.Context, b Batch, c Counts) (bool, error) {
	now := strconv.Itoa(c.Done) + " " + strconv.Itoa(c.Failed)
	was, err := q.redis.SetArgs(ctx, q.seen(b), now, redis.SetArgs{Get: true, TTL: wholeEvery}).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("comparing progress at %s: %w", q.where, err)
	}
	return was == now, nil
}

// firstOpen is the first shard with a line that, as far as Redis knows, has no
// record.
func (q *Queue) firstOpen(ctx context.Context, b Batch) (int, error) {
	for shard := range b.Shards() {
		first, end := b.shardRange(shard)
		done, failed, err := q.bits(ctx, b, shard)
		if err != nil {
			return 0, err
		}
		if done.Count()+failed.Count() < end-first {
			return shard, nil
		}
	}
	return 0, nil
}

// forget removes from Redis what is of no use once a batch is done; its
// bitmaps stay for those who ask how it went, for a week.
func (q *Queue) forget(ctx context.Context, b Batch) error {
	const kept = 7 * 24 * time.Hour
	classes, err := q.redis.SMembers(ctx, q.classes(b)).Result()
	if err == nil {
		_, err = q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, q.attempts(b), q.begun(b), q.seen(b), q.whole(b))
			q.keepFor(ctx, p, b, kept, classes...)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("forgetting batch %s at %s: %w", b.Name, q.where, err)
	}
	return nil
}

func (q *Queue) whole(b Batch) string { return q.key("whole", b.Name, b.short()) }
func (q *Queue) seen(b Batch) string  { return q.key("seen", b.Name, b.short()) }
