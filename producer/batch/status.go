package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/darkroom/darkroom/storage"
)

// Progress is how a batch stands at a moment.
type Progress struct {
	Batch         string         `json:"batch"`
	Lines         int            `json:"lines"`
	Done          int            `json:"done"`
	Failed        int            `json:"failed"`
	Cancelled     int            `json:"cancelled"` // open lines of a batch that is cancelled
	Queued        int            `json:"queued"`    // open lines that nobody works on
	Running       int            `json:"running"`
	Rate          float64        `json:"rate"`        // pictures a second, over the last minutes
	ETA           *float64       `json:"eta_seconds"` // until no line is open; nil, JSON's null, where nothing moves
	FailedByClass map[string]int `json:"failed_by_class"`
}

// Counts are the lines that ended.
func (p Progress) Counts() Counts { return Counts{p.Lines, p.Done, p.Failed} }

// Progress asks Redis how a batch stands. That costs the same for a batch of
// any length, and is right but for what Redis has lost and no consumer has
// rebuilt yet. What it has lost of a batch that is done, done.json knows.
func (q *Queue) Progress(ctx context.Context, store storage.Store, b Batch) (Progress, error) {
	ends, err := q.ends(ctx, store, b)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{Batch: b.Name, Lines: b.Lines, Done: ends.Done, Failed: ends.Failed, FailedByClass: ends.FailedByClass}
	cancelled, err := b.Cancelled(ctx, store)
	if err != nil {
		return Progress{}, err
	}
	if p.Running, err = q.running(b); err != nil {
		return Progress{}, err
	}
	p.Running = min(p.Running, ends.Open()) // a line may have its record just before its task ends
	if open := ends.Open() - p.Running; cancelled {
		p.Cancelled = open
	} else {
		p.Queued = open
	}
	if p.Rate, err = q.rate(ctx, b); err != nil {
		return Progress{}, err
	}
	if left := p.Queued + p.Running; p.Rate > 0 || left == 0 {
		eta := 0.
		if left > 0 {
			eta = float64(left) / p.Rate
		}
		p.ETA = &eta
	}
	return p, nil
}

// ends is what Redis knows of the lines that ended; where it doesn't know of
// all, done.json may.
func (q *Queue) ends(ctx context.Context, store storage.Store, b Batch) (ending, error) {
	counts, err := q.Count(ctx, b)
	if err != nil {
		return ending{}, err
	}
	if counts.Open() > 0 {
		m, err := b.marked(ctx, store, b.DoneName())
		if err != nil {
			return ending{}, err
		}
		if m != nil && m.Manifest == b.Manifest && m.Lines == b.Lines && m.Open() == 0 {
			return *m, nil
		}
	}
	classes, err := q.failedByClass(ctx, b)
	return ending{b.Manifest, counts, classes}, err
}

// running counts a batch's jobs that are being worked on.
func (q *Queue) running(b Batch) (int, error) {
	const page = 1000
	count := 0
	for n := 1; ; n++ {
		tasks, err := q.inspector.ListActiveTasks(q.name, asynq.Page(n), asynq.PageSize(page))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return 0, nil // nothing was ever enqueued, or Redis is empty
		}
		if err != nil {
			return 0, fmt.Errorf("asking %s for what runs: %w", q.where, err)
		}
		for _, info := range tasks {
			if t, err := ParseTask(info.Payload); err == nil && info.Type == TypeJob && t.Batch == b.Name && t.Manifest == b.Manifest {
				count++
			}
		}
		if len(tasks) < page {
			return count, nil
		}
	}
}

// The rate is counted by slices of time, for some of them: five minutes.
const (
	sliceSeconds = 10
	rateSlices   = 30
)

func (q *Queue) sliceKey(b Batch, slice int64) string {
	return q.key("slice", b.Name, b.short(), fmt.Sprint(slice))
}

// rate is how many pictures a second were done in the last slices, the one at
// hand included.
func (q *Queue) rate(ctx context.Context, b Batch) (float64, error) {
	node, err := q.node(ctx)
	if err != nil {
		return 0, fmt.Errorf("reaching Redis at %s: %w", q.where, err)
	}
	now, err := node.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("asking Redis at %s for the time: %w", q.where, err)
	}
	this := now.Unix() / sliceSeconds
	var keys []string
	for i := range int64(rateSlices) {
		keys = append(keys, q.sliceKey(b, this-i))
	}
	values, err := q.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return 0, fmt.Errorf("reading the rate at %s: %w", q.where, err)
	}
	pictures, since := 0, this
	for i, v := range values {
		if text, ok := v.(string); ok {
			n := 0
			fmt.Sscan(text, &n)
			pictures += n
			since = this - int64(i)
		}
	}
	if pictures == 0 {
		return 0, nil
	}
	seconds := now.Sub(time.Unix(sliceSeconds*since, 0)).Seconds()
	return float64(pictures) / max(seconds, 1), nil
}
