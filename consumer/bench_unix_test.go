//go:build unix

package consumer_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
)

// finished renders nothing: it hands out one picture.
type finished struct{ picture job.Picture }

func (f finished) Render(context.Context, job.Spec, func(step, steps int)) (job.Picture, error) {
	return f.picture, nil
}

// BenchmarkJob is what a job costs a consumer beside its rendering: the CPU
// time of this process, with Redis in another one and a store in a folder.
func BenchmarkJob(b *testing.B) {
	const jobs = 2000
	for _, kind := range []string{"server", "inside"} {
		b.Run(kind, func(b *testing.B) {
			url := ""
			if kind == "server" {
				url, _ = redistest.Start(b)
			}
			q, err := batch.OpenQueue(b.Context(), url, "q")
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			r := finished{paint(job.Spec{Width: 128, Height: 128})}
			var cpu time.Duration
			for b.Loop() {
				store, err := storage.Open(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				batch := put(b, store, manyLines(jobs))
				before := cpuTime(b)
				if _, err := consumer.Run(b.Context(), consumer.Config{Store: store, Queue: q, Renderer: r, Jobs: 2, Log: quiet()}, batch); err != nil {
					b.Fatal(err)
				}
				cpu += cpuTime(b) - before
				store.Close()
			}
			b.ReportMetric(cpu.Seconds()*1000/float64(jobs*b.N), "cpu-ms/job")
			b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
