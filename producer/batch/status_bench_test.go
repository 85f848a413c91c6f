package batch

import (
	"testing"
	"time"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
)

// BenchmarkStatus asks how a batch of 1,000,000 lines stands, in a folder and a
// real Redis that has its bitmaps, a shard of its tasks, and 200 jobs under way.
func BenchmarkStatus(b *testing.B) {
	const lines, running = 1_000_000, 200
	ctx := b.Context()
	url, _ := redistest.Start(b)
	q, err := OpenQueue(ctx, url, "q")
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	store, err := storage.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	batch := newBatch(b, store, ShardLines, 0)
	if err := q.Feed(ctx, store, batch, 0); err != nil {
		b.Fatal(err)
	}
	batch.Lines, batch.Queue = lines, q.Name()
	if err := batch.Save(ctx, store); err != nil {
		b.Fatal(err)
	}
	for range running {
		if err := q.redis.LMove(ctx, q.asynq("pending"), q.asynq("active"), "RIGHT", "LEFT").Err(); err != nil {
			b.Fatal(err)
		}
	}
	done, failed := NewBits(lines), NewBits(lines)
	for i := range lines / 2 {
		if i%1000 == 0 {
			failed.Set(i)
		} else {
			done.Set(i)
		}
	}
	q.redis.Set(ctx, q.bitmap(batch, Done), []byte(done), 0)
	q.redis.Set(ctx, q.bitmap(batch, Failed), []byte(failed), 0)
	q.redis.SAdd(ctx, q.classes(batch), "render")
	if err := q.redis.Set(ctx, q.classBitmap(batch, "render"), []byte(failed), 0).Err(); err != nil {
		b.Fatal(err)
	}
	var most time.Duration
	for b.Loop() {
		began := time.Now()
		opened, err := Open(ctx, store, batch.Name)
		if err != nil {
			b.Fatal(err)
		}
		p, err := q.Progress(ctx, store, opened)
		if err != nil || p.Done != 499_500 || p.FailedByClass["render"] != 500 || p.Running != running {
			b.Fatalf("%+v, %v", p, err)
		}
		most = max(most, time.Since(began))
	}
	b.ReportMetric(float64(most.Microseconds())/1e3, "ms-at-most")
}
