package batch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// Feed enqueues the lines of a shard that have no record: three quarters of
// them, then the task that feeds the next shard, then the rest. A shard whose
// lines all have records is passed over. So the queue's own order is the clock,
// and no more than about 12,500 lines are in Redis at any time, however long
// the batch.
func (q *Queue) Feed(ctx context.Context, store storage.Store, b Batch, shard int) error {
	for ; shard < b.Shards(); shard++ {
		lines, err := b.shard(ctx, store, shard)
		if err != nil {
			return err
		}
		open, err := b.open(ctx, store, shard, lines)
		if err != nil {
			return err
		}
		if err := q.remark(ctx, store, b, shard, lines, open); err != nil {
			return err
		}
		if len(open) == 0 {
			continue
		}
		if open, err = q.without(ctx, b, open); err != nil {
			return err
		}
		enqueue := func(indexes []int) error {
			return parallel(ctx, q.writers, len(indexes), func(ctx context.Context, i int) error {
				return q.enqueueJob(ctx, b, indexes[i], lines[indexes[i]%ShardLines])
			})
		}
		before := (3*len(open) + 3) / 4
		if err := enqueue(open[:before]); err != nil {
			return err
		}
		if shard+1 < b.Shards() {
			if err := q.EnqueueFeed(ctx, b, shard+1); err != nil {
				return err
			}
		}
		return enqueue(open[before:])
	}
	return nil
}

// remark marks the lines of a shard that have a record, all but those that are
// open, and are not marked: a mark gets lost where Redis is away, and where a
// [Reconcile] that began before a commit ends after it. A batch that stands
// still for want of a mark is fed, and so comes here.
func (q *Queue) remark(ctx context.Context, store storage.Store, b Batch, shard int, lines [][]byte, open []int) error {
	done, failed, err := q.bits(ctx, b, shard)
	if err != nil {
		return err
	}
	first, end := b.shardRange(shard)
	var unmarked []int
	for i := range end - first {
		if len(open) > 0 && open[0] == first+i {
			open = open[1:]
		} else if !done.Has(i) && !failed.Has(i) {
			unmarked = append(unmarked, i)
		}
	}
	return parallel(ctx, q.writers, len(unmarked), func(ctx context.Context, n int) error {
		i := unmarked[n]
		r, err := b.ReadRecord(ctx, store, decodeLine(first+i, lines[i]))
		if isAbsent(err) || errors.Is(err, ErrDamaged) {
			return nil // taken back by a retry just now; or for Reconcile to tell of
		}
		if err != nil {
			return err
		}
		return q.Mark(ctx, b, r)
	})
}

// Enqueue puts a batch on its queue: the task that feeds the first shard. What
// has a record, waits or runs is left out.
func (q *Queue) Enqueue(ctx context.Context, b Batch) error { return q.EnqueueFeed(ctx, b, 0) }

// open returns the indexes of a shard's lines that have no record.
func (b Batch) open(ctx context.Context, store storage.Store, shard int, lines [][]byte) ([]int, error) {
	first, end := b.shardRange(shard)
	recorded := make([]bool, end-first)
	for line, err := range b.recorded(ctx, store, shard, lines) {
		if err != nil {
			return nil, err
		}
		recorded[line.Index-first] = true
	}
	var open []int
	for i, has := range recorded {
		if !has {
			open = append(open, first+i)
		}
	}
	return open, nil
}

// without leaves out lines that are on the queue already: feeding a shard
// again costs little.
func (q *Queue) without(ctx context.Context, b Batch, indexes []int) ([]int, error) {
	states := make([]*redis.StringCmd, 0, len(indexes))
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, index := range indexes {
			states = append(states, p.HGet(ctx, q.asynq("t:"+taskID(b, index)), "state"))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("asking %s what is on the queue: %w", q.where, err)
	}
	absent := indexes[:0]
	for i, state := range states {
		switch state.Val() {
		case "pending", "active", "scheduled", "retry":
		default: // ended ones are enqueued again
			absent = append(absent, indexes[i])
		}
	}
	return absent, nil
}

// recorded yields the lines of a shard that have a record.
func (b Batch) recorded(ctx context.Context, store storage.Store, shard int, lines [][]byte) iter.Seq2[Line, error] {
	first, end := b.shardRange(shard)
	return func(yield func(Line, error) bool) {
		for o, err := range b.objects(ctx, store, b.shardPrefix(shard)) {
			if err == nil && (o.ext != "json" || o.index < first || o.index >= end) {
				continue
			}
			var line Line
			if err == nil {
				line = decodeLine(o.index, lines[o.index-first])
			}
			if err == nil && line.Key.Short() != o.key {
				continue // of a line that is no longer in the manifest
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// parallel calls do for 0 .. n-1, begun in this order, from some goroutines,
// and returns the first error, after which no further call begins.
func parallel(ctx context.Context, goroutines, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(goroutines, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
