//go:build linux

package consumer_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// BenchmarkMemory takes short and long batches from the queue to their end, and
// says how much memory the consumer's process and Redis have taken at their
// most. Nothing is rendered, and the store forgets pictures and records.
func BenchmarkMemory(b *testing.B) {
	for _, lines := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			url, server := redistest.Start(b)
			q, err := batch.OpenQueue(b.Context(), url, "q")
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			client := redis.NewClient(q.Options())
			defer client.Close()
			dir := b.TempDir()
			store, err := storage.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			opened := putOn(b, store, "q", "b", manyLines(lines))
			for b.Loop() {
				if err := q.Enqueue(b.Context(), opened); err != nil {
					b.Fatal(err)
				}
				cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestMemoryProcess$")
				cmd.Env = append(os.Environ(), "MEMORY_REDIS="+url, "MEMORY_STORE="+dir, "MEMORY_BATCH="+opened.Name)
				cmd.Stderr = os.Stderr
				in, err := cmd.StdinPipe()
				if err != nil {
					b.Fatal(err)
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "done\n" {
					b.Fatalf("the consumer says %q, %v", line, err)
				}
				b.ReportMetric(mostMemory(b, cmd.Process), "consumer-MiB")
				b.ReportMetric(mostMemory(b, server), "redis-MiB")
				b.ReportMetric(mostUsed(b, client), "redis-used-MiB")
				in.Close()
				if err := cmd.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// mostMemory is the largest resident set of a process, in MiB.
func mostMemory(b *testing.B, p *os.Process) (mib float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &mib); n == 1 {
			return mib / 1024
		}
	}
	b.Fatalf("the kernel says nothing of the process's memory:\n%s", status)
	return 0
}

// mostUsed is the most memory that Redis has asked for, in MiB.
func mostUsed(b *testing.B, client *redis.Client) (bytes float64) {
	info, err := client.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if n, _ := fmt.Sscanf(line, "used_memory_peak:%f", &bytes); n == 1 {
			return bytes / (1 << 20)
		}
	}
	b.Fatal("Redis doesn't tell its memory")
	return 0
}

// TestMemoryProcess is the consumer of [BenchmarkMemory], where that says so.
func TestMemoryProcess(t *testing.T) {
	url := os.Getenv("MEMORY_REDIS")
	if url == "" {
		t.Skip("a part of BenchmarkMemory")
	}
	q, err := batch.OpenQueue(t.Context(), url, "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store, err := storage.Open(os.Getenv("MEMORY_STORE"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, err := batch.Open(t.Context(), store, os.Getenv("MEMORY_BATCH"))
	if err != nil {
		t.Fatal(err)
	}
	r := finished{paint(job.Spec{Width: 128, Height: 128})}
	c := start(t, consumer.Config{Store: forgetful{store}, Queue: q, Renderer: r, Jobs: 8, Log: quiet()})
	for tick := time.Tick(100 * time.Millisecond); ; <-tick {
		if counts, err := q.Count(t.Context(), b); err != nil {
			t.Fatal(err)
		} else if counts.Open() == 0 {
			break
		}
	}
	fmt.Println("done")
	bufio.NewScanner(os.Stdin).Scan()
	c.Hurry()
	c.Shutdown()
}

// forgetful is a store that keeps nothing new.
type forgetful struct{ storage.Store }

func (forgetful) Put(context.Context, string, []byte) error         { return nil }
func (forgetful) PutIfAbsent(context.Context, string, []byte) error { return nil }
