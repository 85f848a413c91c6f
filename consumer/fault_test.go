package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Each class of failure ends as it should, and the other lines go on.
func TestFailureClasses(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		var tries sync.Map // prompt: *atomic.Int64
		p := &painter{before: func(ctx context.Context, spec job.Spec) error {
			count, _ := tries.LoadOrStore(spec.Prompt, new(atomic.Int64))
			n := count.(*atomic.Int64).Add(1)
			switch spec.Prompt {
			case "bad":
				return job.Bad(errors.New("the latents are not numbers"))
			case "panics":
				panic("a bug")
			case "panics below":
				return fmt.Errorf("a call: %w", caught{})
			case "fails":
				return fmt.Errorf("failure %d", n)
			case "fails once":
				if n == 1 {
					return &job.Failure{Class: job.OutOfMemory, Err: errors.New("out of memory")}
				}
			case "hangs":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		store := &storage.Memory{}
		b := put(t, store, `{"prompt":"bad","id":"x","labels":{"a":1}}`+"\n"+`{"prompt":"panics"}`+"\n"+`{"prompt":"fails"}`+"\n"+`{"prompt":"fails once"}`+"\n"+`{"prompt":"hangs"}`+"\n"+`{"prompt":"panics below"}`+"\n"+manyLines(10))
		var log bytes.Buffer
		cfg := consumer.Config{Store: store, Queue: open(t), Renderer: p, Jobs: 2, Attempts: 2, StepTimeout: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}
		counts, err := consumer.Run(t.Context(), cfg, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := (batch.Counts{Lines: 16, Done: 11, Failed: 5}); counts != want {
			t.Errorf("counts %+v, want %+v", counts, want)
		}
		records := map[string]batch.Record{}
		for _, r := range readRecords(t, store, b) {
			records[r.Job.Prompt] = r
		}
		for prompt, want := range map[string]struct {
			status   batch.Status
			class    string
			error    string
			attempts int
		}{
			"bad":          {batch.Failed, "bad_job", "the latents are not numbers", 1},
			"panics":       {batch.Failed, "panic", "panic: a bug", 2},
			"panics below": {batch.Failed, "panic", "a call: panic: a bug", 2},
			"fails":        {batch.Failed, "render", "failure 2", 2},
			"fails once":   {batch.Done, "", "", 2},
			"hangs":        {batch.Failed, "stuck", "no step within the time allowed: 1s", 2},
		} {
			r := records[prompt]
			if r.Status != want.status || r.Class != want.class || r.Error != want.error || r.Attempts != want.attempts {
				t.Errorf("%s: %s %q %q after %d attempts, want %+v", prompt, r.Status, r.Class, r.Error, r.Attempts, want)
			}
			if n := len(r.Errors); want.status == batch.Failed && n != want.attempts {
				t.Errorf("%s: %d errors in the record, want %d", prompt, n, want.attempts)
			}
		}
		if r := records["bad"]; r.ID != "x" || r.Labels["a"] == nil || r.File != "" {
			t.Errorf("the dead letter is %+v", r)
		}
		for where, want := range map[string]int{"where it was caught": 2, "fault_test.go": 2} {
			if n := strings.Count(log.String(), where); n < want {
				t.Errorf("%q is %d times in the log, want the stacks of %d panics:\n%s", where, n, want, &log)
			}
		}
	})
}

// caught is the error of a panic that the renderer caught.
type caught struct{}

func (caught) Error() string      { return "panic: a bug" }
func (caught) PanicStack() []byte { return []byte("where it was caught") }

func readRecords(t *testing.T, store storage.Store, b batch.Batch) (records []batch.Record) {
	t.Helper()
	for name, data := range files(t, store) {
		base := name[strings.LastIndexByte(name, '/')+1:]
		if !strings.HasSuffix(base, ".json") || len(base) != 8+1+12+5 {
			continue
		}
		records = append(records, parseRecord(t, data))
	}
	if len(records) != b.Lines {
		t.Fatalf("%d records for %d lines", len(records), b.Lines)
	}
	return records
}

// A run that is cut off at any point and run again leaves the same files as
// one without a break, and renders no line of a record again.
func TestCutOffAndRunAgain(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		const lines = 60
		text := manyLines(lines-1) + `{"prompt":"bad"}` + "\n"
		fail := func(_ context.Context, spec job.Spec) error {
			if spec.Prompt == "bad" {
				return job.Bad(errors.New("no"))
			}
			return nil
		}
		whole := &storage.Memory{}
		cfg := consumer.Config{Store: whole, Queue: open(t), Renderer: &painter{before: fail}, Jobs: 3, Log: quiet()}
		if _, err := consumer.Run(t.Context(), cfg, put(t, whole, text)); err != nil {
			t.Fatal(err)
		}

		cut := &storage.Memory{}
		b := put(t, cut, text)
		r := rand.New(rand.NewPCG(1, 2))
		p := &painter{before: fail}
		var last batch.Counts
		runs := 0
		for ; last.Open() > 0 || last.Lines == 0; runs++ {
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("cut off")
			steps := atomic.Int64{}
			steps.Store(int64(1 + r.IntN(60)))
			cfg.Store, cfg.Renderer, cfg.Queue = cut, p, open(t)
			cfg.Step = func(_, _, _ int) {
				if steps.Add(-1) == 0 {
					cancel(stop)
				}
			}
			counts, err := consumer.Run(ctx, cfg, b)
			cancel(nil)
			switch {
			case err == nil && counts.Open() > 0, err != nil && !errors.Is(err, stop):
				t.Fatalf("run %d: %+v, %v", runs, counts, err)
			case counts.Done+counts.Failed < last.Done+last.Failed:
				t.Fatalf("run %d: %+v after %+v", runs, counts, last)
			case err != nil && !strings.Contains(err.Error(), fmt.Sprintf("with %d of %d lines done", counts.Done+counts.Failed, lines)):
				t.Errorf("run %d: %v", runs, err)
			}
			last = counts
		}
		if runs < 3 {
			t.Errorf("only %d runs: nothing was cut off", runs)
		}
		compare(t, files(t, whole), files(t, cut))
	})
}

func compare(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is %.300q, want %.300q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

// flakyStore fails as it is told.
type flakyStore struct {
	storage.Store
	fail func(name string) error
}

func (s *flakyStore) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := s.fail(name); err != nil {
		return err
	}
	return s.Store.PutIfAbsent(ctx, name, data)
}

// While the store is away finished pictures are held, not rendered again.
func TestStoreAway(t *testing.T) {
	var failures atomic.Int64
	memory := &storage.Memory{}
	store := &flakyStore{memory, func(name string) error {
		if !strings.Contains(name, "manifest") && failures.Add(1)%3 == 1 {
			return errors.New("503 slow down")
		}
		return nil
	}}
	b := put(t, store, manyLines(4))
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	p := &painter{}
	counts, err := consumer.Run(t.Context(), consumer.Config{Store: store, Queue: q, Renderer: p, Patience: time.Minute, Log: quiet()}, b)
	if err != nil || counts.Done != 4 {
		t.Fatalf("%+v, %v", counts, err)
	}
	if n := p.renders.Load(); n != 4 {
		t.Errorf("rendered %d times, want 4", n)
	}
}

// A full disk ends the run with an error, and mended, the run goes on.
func TestStoreFull(t *testing.T) {
	var full atomic.Bool
	memory := &storage.Memory{}
	store := &flakyStore{memory, func(name string) error {
		if full.Load() {
			return fmt.Errorf("writing %s: %w", name, syscall.ENOSPC)
		}
		return nil
	}}
	b := put(t, store, manyLines(20))
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	cfg := consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Patience: time.Minute, Log: quiet(), Committed: func(e consumer.Event) {
		full.Store(e.Record.Index >= 10)
	}}
	counts, err := consumer.Run(t.Context(), cfg, b)
	if !errors.Is(err, syscall.ENOSPC) || counts.Done == 0 || counts.Open() == 0 {
		t.Fatalf("%+v, %v", counts, err)
	}
	full.Store(false)
	cfg.Committed = nil
	if counts, err = consumer.Run(t.Context(), cfg, b); err != nil || counts.Done != 20 {
		t.Errorf("run again: %+v, %v", counts, err)
	}
}

// unlisted is a store that can't list what lies under a prefix.
type unlisted struct {
	storage.Store
	prefix string
	err    error
}

func (s *unlisted) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	if prefix == s.prefix {
		return func(yield func(string, error) bool) { yield("", s.err) }
	}
	return s.Store.List(ctx, prefix)
}

// A store that fails while nothing but a feed is under way ends the run as well.
func TestFeedFails(t *testing.T) {
	memory := &storage.Memory{}
	b := put(t, memory, manyLines(3))
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	store := &unlisted{memory, "b/0000", errors.New("403 AccessDenied")}
	cfg := consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Patience: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if counts, err := consumer.Run(ctx, cfg, b); !errors.Is(err, store.err) {
		t.Errorf("%+v, %v", counts, err)
	}
	if !strings.Contains(log.String(), "a batch can't be fed") || !strings.Contains(log.String(), store.err.Error()) {
		t.Errorf("the log doesn't tell of it:\n%s", &log)
	}
}

// Redis that is gone ends the run with an error that names it.
func TestRedisGone(t *testing.T) {
	url, server := redistest.Start(t)
	q, err := batch.OpenQueue(t.Context(), url, "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store := &storage.Memory{}
	b := put(t, store, manyLines(200))
	told := 0
	cfg := consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Patience: time.Second, Log: quiet(), Committed: func(e consumer.Event) {
		if told++; told == 20 {
			_ = server.Kill()
		}
	}}
	counts, err := consumer.Run(t.Context(), cfg, b)
	if err == nil || !strings.Contains(err.Error(), "Redis at "+q.Where()) || counts.Done < 20 {
		t.Fatalf("%+v, %v", counts, err)
	}
	inside, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	cfg.Queue, cfg.Committed = inside, nil
	var before batch.Found
	cfg.Opened = func(f batch.Found) { before = f }
	if again, err := consumer.Run(t.Context(), cfg, b); err != nil || again.Done != 200 || before.Done != counts.Done {
		t.Errorf("run again with another Redis: %+v, %v; it began at %d, want %d", again, err, before.Done, counts.Done)
	}
}

// A renderer that doesn't heed that its task was taken away keeps its place on
// the device: no second job comes beside it.
func TestDeviceHasOneOwner(t *testing.T) {
	url, _ := redistest.Start(t)
	q, err := batch.OpenQueue(t.Context(), url, "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	client := redis.NewClient(q.Options())
	defer client.Close()
	inspector := asynq.NewInspectorFromRedisClient(client)
	store := &storage.Memory{}
	b := put(t, store, manyLines(3))
	stuck, release := make(chan string, 1), make(chan struct{})
	var once sync.Once
	p := &painter{before: func(_ context.Context, spec job.Spec) error {
		once.Do(func() {
			stuck <- spec.ID
			<-release
		})
		return nil
	}}
	go func() {
		defer close(release)
		id := "b:" + b.Manifest[:12] + ":" + strings.TrimPrefix(<-stuck, "line-")
		late := time.After(patience)
		for tick := time.Tick(10 * time.Millisecond); ; { // until asynq has given the task up, and its place with it
			if err := inspector.CancelProcessing(id); err != nil { // it may hear of that only once it listens
				t.Error(err)
			}
			if info, err := inspector.GetTaskInfo("q", id); err != nil || info.State == asynq.TaskStateRetry {
				return
			}
			select {
			case <-tick:
			case <-late:
				t.Error("asynq doesn't give the task up")
				return
			}
		}
	}()
	counts, err := consumer.Run(t.Context(), consumer.Config{Store: store, Queue: q, Renderer: p, Jobs: 1, Log: quiet()}, b)
	if err != nil || counts.Done != 3 {
		t.Errorf("%+v, %v", counts, err)
	}
	if n := p.most.Load(); n != 1 {
		t.Errorf("%d jobs at once on a device for one", n)
	}
}

// A Redis that restarts empty loses no line.
func TestRedisEmptied(t *testing.T) {
	defer consumer.Stall(200 * time.Millisecond)()
	url, _ := redistest.Start(t)
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	q, err := batch.OpenQueue(t.Context(), url, "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store, p := &storage.Memory{}, &painter{}
	b := put(t, store, manyLines(300))
	told := 0
	cfg := consumer.Config{Store: store, Queue: q, Renderer: p, Jobs: 2, Log: quiet(), Committed: func(consumer.Event) {
		if told++; told == 30 {
			if err := client.FlushAll(context.Background()).Err(); err != nil {
				t.Error(err)
			}
		}
	}}
	if counts, err := consumer.Run(t.Context(), cfg, b); err != nil || counts.Done != 300 || p.renders.Load() > 310 {
		t.Errorf("%+v, %v after %d renders", counts, err, p.renders.Load())
	}
	if keys := client.Keys(t.Context(), "*{q}*").Val(); len(keys) != 0 {
		t.Errorf("%v are left in Redis", keys)
	}
}

// Jobs that a shutdown interrupts go back to the head, with no attempt
// counted; the picture that is finished still reaches the store.
func TestShutdownPutsJobsBack(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		store, q := &storage.Memory{}, open(t)
		b := put(t, store, manyLines(5))
		begun := make(chan struct{}, 5)
		p := &painter{before: func(ctx context.Context, spec job.Spec) error {
			if spec.ID == "line-0" {
				return nil
			}
			begun <- struct{}{}
			<-ctx.Done() // the step at hand
			return ctx.Err()
		}}
		first := make(chan struct{})
		cfg := consumer.Config{Store: store, Queue: q, Renderer: p, Jobs: 5, Log: quiet(), Committed: func(consumer.Event) { close(first) }}
		if err := q.EnqueueFeed(t.Context(), b, 0); err != nil {
			t.Fatal(err)
		}
		c, err := consumer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-first
		for range 4 {
			<-begun
		}
		c.Shutdown()
		if err := c.Err(); err != nil {
			t.Errorf("after a shutdown: %v", err)
		}
		counts, err := q.Count(t.Context(), b)
		if err != nil || counts.Done != 1 || counts.Failed != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
		info, err := q.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Pending != 4 || info.Active != 0 || info.Retry != 0 {
			t.Errorf("%d pending, %d active, %d to be retried; want 4, 0, 0", info.Pending, info.Active, info.Retry)
		}

		p.before = nil
		done := make(chan struct{})
		cfg.Committed = func(e consumer.Event) {
			if e.Record.Attempts != 1 {
				t.Errorf("line %d took %d attempts, want 1", e.Record.Index, e.Record.Attempts)
			}
			if e.Record.Index == 4 {
				close(done)
			}
		}
		if c, err = consumer.New(cfg); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		c.Shutdown()
	})
}

// A shutdown that a job doesn't heed says that the renderer is in use.
func TestShutdownUnderRender(t *testing.T) {
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store := &storage.Memory{}
	b := put(t, store, manyLines(1))
	if err := q.Enqueue(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	p := &painter{before: func(context.Context, job.Spec) error {
		close(begun)
		<-release
		return nil
	}}
	cfg := consumer.Config{Store: store, Queue: q, Renderer: p, StepTimeout: 50 * time.Millisecond, Grace: 50 * time.Millisecond, Log: quiet()}
	c := start(t, cfg)
	<-begun
	if c.Shutdown() {
		t.Error("with a job in the renderer, it is said to be idle")
	}
	close(release)
	until(t, "the job ends", func() bool { return p.now.Load() == 0 })
	p.before = nil
	cfg.StepTimeout, cfg.Grace = patience, patience
	if c = start(t, cfg); !c.Shutdown() {
		t.Error("with no job in the renderer, it is said to be in use")
	}
}

// A picture whose record was not written before a crash is not rendered again.
func TestPictureWithoutRecord(t *testing.T) {
	store := &storage.Memory{}
	b := put(t, store, manyLines(3))
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	p := &painter{}
	cfg := consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet()}
	if _, err := consumer.Run(t.Context(), cfg, b); err != nil {
		t.Fatal(err)
	}
	all := files(t, store)
	for name := range all {
		if strings.HasPrefix(name, "b/00000001") && strings.HasSuffix(name, ".json") {
			if err := store.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	counts, err := consumer.Run(t.Context(), cfg, b)
	if err != nil || counts.Done != 3 || p.renders.Load() != 3 {
		t.Errorf("%+v, %v after %d renders", counts, err, p.renders.Load())
	}
	compare(t, all, files(t, store))
}

// A real folder: its own tests are storage's, here is the whole flow.
func TestRunInFolder(t *testing.T) {
	dir := t.TempDir()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	b := put(t, store, `{"prompt":"a circle","n":3,"id":"c"}`)
	var pictures []string
	cfg := consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Log: quiet(), Committed: func(e consumer.Event) {
		pictures = append(pictures, e.Picture)
	}}
	if counts, err := consumer.Run(t.Context(), cfg, b); err != nil || counts.Done != 3 {
		t.Fatalf("%+v, %v", counts, err)
	}
	for _, name := range pictures {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
}
