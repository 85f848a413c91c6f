package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkDenoise is the engine's own cost: a device that takes no time, so
// that all jobs meet at the lock at once. ns/op is of one step of one job;
// steps must not allocate.
func BenchmarkDenoise(b *testing.B) {
	for _, bc := range []struct{ jobs, rows, lanes int }{
		{1, 1, 1}, {1, 2, 2}, {16, 2, 1}, {64, 1, 1}, {64, 2, 1}, {64, 2, 2},
	} {
		b.Run(fmt.Sprintf("jobs=%d/rows=%d/lanes=%d", bc.jobs, bc.rows, bc.lanes), func(b *testing.B) {
			e, err := New(Config{Lanes: bc.lanes, Rows: 8}, func(context.Context, int, int, []*row) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var jobs []*Job[int, *row]
			for range bc.jobs {
				j, err := e.Join(0)
				if err != nil {
					b.Fatal(err)
				}
				jobs = append(jobs, j)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, j := range jobs {
				wg.Go(func() {
					defer j.Leave()
					rows := []*row{{}, {}}[:bc.rows]
					for range (b.N + len(jobs) - 1 - i) / len(jobs) {
						if err := j.Denoise(ctx, rows...); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			s := e.Stats()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(s.Rows), "ns/row")
			b.ReportMetric(float64(s.Rows)/float64(s.Calls), "rows/call")
		})
	}
}
