package batch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// Cancel marks a batch: no line is begun any more, and jobs that run end after
// the step at hand. What is done stays. The mark in the store is the truth;
// the one in Redis, a hint for jobs that run, is believed only beside it.
func Cancel(ctx context.Context, store storage.Store, q *Queue, b Batch) error {
	mark := fmt.Appendf(nil, `{"manifest":%q,"cancelled":%q}`+"\n", b.Manifest, time.Now().UTC().Format(time.RFC3339))
	if err := store.Put(ctx, b.cancelledName(), mark); err != nil {
		return fmt.Errorf("cancelling batch %s: %w", b.Name, err)
	}
	if err := q.redis.Set(ctx, q.cancelled(b), rand.Text(), time.Hour).Err(); err != nil {
		return fmt.Errorf("telling the consumers of %s at %s: %w", b.Name, q.where, err)
	}
	return nil
}

// Cancelled tells whether a batch is marked as cancelled. A mark that can't be
// read counts: somebody meant it.
func (b Batch) Cancelled(ctx context.Context, store storage.Store) (bool, error) {
	m, err := b.marked(ctx, store, b.cancelledName())
	return m != nil && (m.Manifest == b.Manifest || m.Manifest == ""), err
}

// Finished tells whether a batch is marked as done. A mark that can't be read
// doesn't count: it is written anew.
func (b Batch) Finished(ctx context.Context, store storage.Store) (bool, error) {
	m, err := b.marked(ctx, store, b.DoneName())
	return m != nil && m.Manifest == b.Manifest, err
}

// ended tells whether a batch is marked as done or cancelled.
func (b Batch) ended(ctx context.Context, store storage.Store) (bool, error) {
	finished, err := b.Finished(ctx, store)
	if err != nil || finished {
		return finished, err
	}
	return b.Cancelled(ctx, store)
}

// ending is what the marks of a batch's end say, cancelled.json without counts.
// One that names another of its manifests is left from before the batch was
// opened with other lines, and means nothing.
type ending struct {
	Manifest string `json:"manifest"` // empty where the mark can't be read
	Counts
	FailedByClass map[string]int `json:"failed_by_class,omitempty"`
}

// marked reads a mark; nil where there is none.
func (b Batch) marked(ctx context.Context, store storage.Store, name string) (*ending, error) {
	data, err := store.Get(ctx, name)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("looking for %s: %w", name, err)
	}
	e := ending{FailedByClass: map[string]int{}}
	if err != nil || json.Unmarshal(data, &e) != nil {
		return &ending{}, nil
	}
	return &e, nil
}

// Cancelled tells which of some batches are cancelled. Only those are asked
// the store for of which Redis has a hint; a hint is behind its mark, so that
// one without a mark is of a batch that was opened again, and is removed.
func (q *Queue) Cancelled(ctx context.Context, store storage.Store, batches []Batch) ([]Batch, error) {
	if len(batches) == 0 {
		return nil, nil
	}
	keys := make([]string, len(batches))
	for i, b := range batches {
		keys[i] = q.cancelled(b)
	}
	hints, err := q.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("asking %s for cancelled batches: %w", q.where, err)
	}
	var cancelled []Batch
	var errs []error
	for i, hint := range hints {
		if hint == nil {
			continue
		}
		is, err := batches[i].Cancelled(ctx, store)
		if is {
			cancelled = append(cancelled, batches[i])
		} else if err == nil { // it may be cancelled again just now: then the hint is another
			err = deleteIf.Run(ctx, q.redis, keys[i:i+1], hint).Err()
		}
		errs = append(errs, err)
	}
	return cancelled, errors.Join(errs...)
}

// deleteIf deletes a key that still has a value.
var deleteIf = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

func (q *Queue) cancelled(b Batch) string { return q.key("cancelled", b.Name, b.short()) }
