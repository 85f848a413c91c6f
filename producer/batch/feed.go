package batch

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/darkroom/darkroom/storage"
)

// Feed enqueues the lines of a shard that have no record: half of them, then
// the task that feeds the next shard, then the rest. A shard whose lines all
// have records is passed over. So the queue's own order is the clock, and no
// more than about two shards are in Redis at any time.
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
		if len(open) == 0 {
			continue
		}
		enqueue := func(indexes []int) error {
			return parallel(ctx, q.writers, len(indexes), func(ctx context.Context, i int) error {
				return q.enqueueJob(ctx, b, indexes[i], lines[indexes[i]%ShardLines])
			})
		}
		half := (len(open) + 1) / 2
		if err := enqueue(open[:half]); err != nil {
			return err
		}
		if shard+1 < b.Shards() {
			if err := q.EnqueueFeed(ctx, b, shard+1); err != nil {
				return err
			}
		}
		return enqueue(open[half:])
	}
	return nil
}

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
				line, err = decodeLine(o.index, lines[o.index-first])
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
