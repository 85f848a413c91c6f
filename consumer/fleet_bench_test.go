//go:build unix

package consumer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// How a fleet is measured: in so many processes, for so long, once it has been
// running for a while.
const (
	fleetProcesses = 4
	fleetWarmUp    = 10 * time.Second
	fleetWindow    = 30 * time.Second
)

// BenchmarkFleet measures consumers that have a Redis and a store in common,
// each with jobs whose pictures take 1 s of simulated time. "of-ideal" is the
// share of their time in which pictures grow: 1 is a picture a second for each
// job at once. What grows is counted, not what ends, so that neither the
// window's start nor its end takes or gives a picture. The store is a folder
// in memory where there is one: a disk's speed is not what is measured.
func BenchmarkFleet(b *testing.B) {
	for _, fleet := range []struct{ consumers, jobs int }{{64, 1}, {256, 1}, {256, 4}, {1024, 1}} {
		b.Run(fmt.Sprintf("consumers=%d/jobs=%d", fleet.consumers, fleet.jobs), func(b *testing.B) {
			url, _ := redistest.Start(b)
			q, err := batch.OpenQueue(b.Context(), url, "q")
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			dir := memoryDir(b)
			store, err := storage.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			at := fleet.consumers * fleet.jobs
			seconds := int((fleetWarmUp + fleetWindow).Seconds()) + 20
			if err := q.Enqueue(b.Context(), putOn(b, store, "q", "b", manyLines(at*seconds))); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				measureFleet(b, q, dir, fleet.consumers, fleet.jobs)
			}
		})
	}
}

func measureFleet(b *testing.B, q *batch.Queue, dir string, consumers, jobs int) {
	redisCPU := redisCPU(b, q)
	var processes []*fleetProcess
	for range fleetProcesses {
		processes = append(processes, startFleetProcess(b, "unix://"+q.Where(), dir, consumers/fleetProcesses, jobs))
	}
	mark := func() (grown, cpu float64) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, p := range processes {
			wg.Go(func() {
				g, c := p.mark(b)
				mu.Lock()
				defer mu.Unlock()
				grown, cpu = grown+g, cpu+c
			})
		}
		wg.Wait()
		return grown, cpu
	}
	mark() // all are there
	<-time.After(fleetWarmUp)
	grown, cpu := mark()
	redis, began := redisCPU(), time.Now()
	<-time.After(fleetWindow)
	grownThen, cpuThen := mark()
	took := time.Since(began).Seconds()
	pictures := grownThen - grown
	b.ReportMetric(pictures/took, "pictures/s")
	b.ReportMetric(pictures/took/float64(consumers*jobs), "of-ideal")
	b.ReportMetric(1000*(cpuThen-cpu)/pictures, "cpu-ms/picture")
	b.ReportMetric(1000*(redisCPU()-redis)/pictures, "redis-ms/picture")
	for _, p := range processes {
		p.end(b)
	}
}

// redisCPU returns what tells the seconds of CPU that Redis has taken.
func redisCPU(b *testing.B, q *batch.Queue) func() float64 {
	client := redis.NewClient(q.Options())
	b.Cleanup(func() { client.Close() })
	return func() (seconds float64) {
		info, err := client.Info(b.Context(), "cpu").Result()
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(info) {
			var s float64
			for _, kind := range []string{"sys", "user"} {
				if _, err := fmt.Sscanf(line, "used_cpu_"+kind+":%f", &s); err == nil {
					seconds += s
				}
			}
		}
		return seconds
	}
}

// memoryDir is a folder in memory, or on the disk where the system has none.
func memoryDir(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "fleet-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fleetProcess is a process with some of the consumers. For each line that it
// reads it says how many pictures have grown there, and its seconds of CPU.
type fleetProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startFleetProcess(b *testing.B, url, dir string, consumers, jobs int) *fleetProcess {
	p := &fleetProcess{cmd: exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestFleetProcess$")}
	p.cmd.Env = append(os.Environ(), "FLEET_REDIS="+url, "FLEET_STORE="+dir, fmt.Sprintf("FLEET_SIZE=%d %d", consumers, jobs))
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *fleetProcess) mark(b *testing.B) (grown, cpu float64) {
	if _, err := fmt.Fprintln(p.in); err != nil {
		b.Error(err)
	}
	if _, err := fmt.Fscanln(p.out, &grown, &cpu); err != nil {
		b.Error("a process of the fleet says nothing:", err)
	}
	return grown, cpu
}

func (p *fleetProcess) end(b *testing.B) {
	p.in.Close()
	_, _ = io.Copy(io.Discard, p.out) // what the test framework says
	if err := p.cmd.Wait(); err != nil {
		b.Error(err)
	}
}

// TestFleetProcess is a process of [BenchmarkFleet], where that says so.
func TestFleetProcess(t *testing.T) {
	url := os.Getenv("FLEET_REDIS")
	if url == "" {
		t.Skip("a part of BenchmarkFleet")
	}
	var n, jobs int
	if _, err := fmt.Sscan(os.Getenv("FLEET_SIZE"), &n, &jobs); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(os.Getenv("FLEET_STORE"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r := &growing{pictures: map[*time.Time]struct{}{}, picture: paint(job.Spec{Width: 16, Height: 16})}
	var crowd []*consumer.Consumer
	for range n {
		q, err := batch.OpenQueue(t.Context(), url, "q")
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		crowd = append(crowd, start(t, consumer.Config{Store: store, Queue: q, Renderer: r, Jobs: jobs, Log: quiet()}))
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(r.grown(), cpuTime(t).Seconds())
	}
	var wg sync.WaitGroup
	for _, c := range crowd {
		c.Hurry()
		wg.Go(func() { c.Shutdown() })
	}
	wg.Wait()
}

// growing draws pictures that take 1 s each, in 20 steps.
type growing struct {
	picture job.Picture

	mu       sync.Mutex
	done     int
	pictures map[*time.Time]struct{} // when those that grow were begun
}

func (g *growing) Render(ctx context.Context, _ job.Order, progress func(step, steps int)) (job.Picture, error) {
	const steps = 20
	began := time.Now()
	g.mu.Lock()
	g.pictures[&began] = struct{}{}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.pictures, &began)
		if ctx.Err() == nil {
			g.done++
		}
	}()
	for step := range steps {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(step+1) * time.Second / steps))):
			progress(step+1, steps)
		case <-ctx.Done():
			return job.Picture{}, context.Cause(ctx)
		}
	}
	return g.picture, nil
}

// grown is how many pictures are done, with the parts of those that aren't.
func (g *growing) grown() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := float64(g.done)
	for began := range g.pictures {
		sum += min(1, time.Since(*began).Seconds())
	}
	return sum
}
