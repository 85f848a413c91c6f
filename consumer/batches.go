package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
)

// batchCache keeps what the store says of batches for a short while.
type batchCache struct {
	mu   sync.Mutex
	read map[string]opened
}

// opened is a batch as the store had it.
type opened struct {
	batch.Batch
	cancelled bool
	damaged   error // why it can't be read; nil otherwise
	at        time.Time
}

const cacheFor = 2 * time.Second

// get returns the batch that a task is of. A task of a manifest that is not
// the one in the cache has batch.json read again. That a batch is damaged is
// kept as well: a queue full of its tasks asks, and complains, once in a while.
// That it is cancelled is not: its next task may come from a retry.
func (b *batchCache) get(t batch.Task, open func() (opened, error)) (opened, error) {
	b.mu.Lock()
	o, ok := b.read[t.Batch]
	b.mu.Unlock()
	if ok && (o.Manifest == t.Manifest || o.damaged != nil) && time.Since(o.at) < cacheFor {
		return o, o.damaged
	}
	now, err := open()
	if errors.Is(err, batch.ErrDamaged) {
		now = opened{damaged: err}
	} else if err != nil {
		return opened{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.cancelled {
		delete(b.read, t.Batch)
		return now, nil
	}
	now.at = time.Now()
	if b.read == nil || len(b.read) > 1000 {
		b.read = make(map[string]opened)
	}
	b.read[t.Batch] = now
	return now, now.damaged
}

// forget makes the next task of a batch ask the store.
func (b *batchCache) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.read, name)
}

// open reads what the store says of a batch.
func (c *Consumer) open(ctx context.Context, name string) (o opened, err error) {
	if o.Batch, err = batch.Open(ctx, c.cfg.Store, name); err == nil {
		o.cancelled, err = o.Cancelled(ctx, c.cfg.Store)
	}
	return o, err
}

// watchCancels ends the jobs of batches that are cancelled.
func (c *Consumer) watchCancels() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.stopping.Done():
			return
		}
		for q, batches := range c.jobs.batches() {
			// That Redis or the store is away is told elsewhere.
			cancelled, _ := q.Cancelled(c.stopping, c.cfg.Store, batches)
			for _, b := range cancelled {
				c.opened.forget(b.Name)
				c.jobs.cancel(b, errCancelled)
			}
		}
	}
}
