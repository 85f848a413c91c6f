//go:build unix

package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/s3test"
)

// finished renders nothing: it hands out one picture.
type finished struct{ picture job.Picture }

func (f finished) Render(context.Context, job.Order, func(step, steps int)) (job.Picture, error) {
	return f.picture, nil
}

// BenchmarkJob is what a job costs a consumer beside its rendering: the CPU
// time of this process, with a store in a folder or an S3 server's bucket, and
// Redis in another process or inside of this one.
func BenchmarkJob(b *testing.B) {
	const jobs = 2000
	for _, kind := range []string{"server", "inside", "s3"} {
		b.Run(kind, func(b *testing.B) {
			url := ""
			if kind != "inside" {
				url, _ = redistest.Start(b)
			}
			place := func() string { return b.TempDir() }
			if kind == "s3" {
				server, n := s3test.Start(b), 0
				for _, pair := range server.Environ() {
					name, value, _ := strings.Cut(pair, "=")
					b.Setenv(name, value)
				}
				place = func() string { n++; return server.URL(fmt.Sprint(n)) }
			}
			q, err := batch.OpenQueue(b.Context(), url, "q")
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			r := finished{paint(job.Spec{Width: 128, Height: 128})}
			var cpu time.Duration
			for b.Loop() {
				store, err := storage.OpenURL(b.Context(), place())
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

func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
