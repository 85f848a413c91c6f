package batch

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
)

// BenchmarkFeed enqueues a shard on a real Redis, and compares with what bare
// asynq clients reach in the same run, with payloads as large.
func BenchmarkFeed(b *testing.B) {
	url, _ := redistest.Start(b)
	q, err := OpenQueue(b.Context(), url, "q")
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	store := &storage.Memory{}
	batch := newBatch(b, store, ShardLines, 0)
	lines, err := batch.shard(b.Context(), store, 0)
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, len(lines[0])+140)
	var ours, bare time.Duration
	var ratios []float64
	for b.Loop() {
		before := [2]time.Duration{ours, bare}
		began := time.Now()
		if err := q.Feed(b.Context(), store, batch, 0); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		if err := q.Clear(b.Context()); err != nil {
			b.Fatal(err)
		}

		began = time.Now()
		var wg sync.WaitGroup
		for g := range q.writers {
			wg.Go(func() {
				for i := g; i < ShardLines; i += q.writers {
					_, err := q.tasks.Enqueue(asynq.NewTask(TypeJob, payload), asynq.Queue(q.name), asynq.TaskID(fmt.Sprint(i)),
						asynq.MaxRetry(math.MaxInt32), asynq.Timeout(time.Hour))
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		bare += time.Since(began)
		ratios = append(ratios, float64(bare-before[1])/float64(ours-before[0]))
		if err := q.Clear(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ShardLines*b.N)/ours.Seconds(), "tasks/s")
	b.ReportMetric(float64(ShardLines*b.N)/bare.Seconds(), "bare-tasks/s")
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-bare") // the median: what else runs on the machine disturbs both
}
