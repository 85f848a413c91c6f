package consumer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// putOn brings a batch into a store for the consumers of a queue.
func putOn(t testing.TB, store storage.Store, queue, name, lines string) batch.Batch {
	t.Helper()
	m, err := producer.Read(t.Context(), strings.NewReader(lines), producer.Config{
		Name: name, Source: name, Darkroom: "test", Models: model{}, Queue: queue, TempDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b, err := m.Put(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openServer(t *testing.T) (*batch.Queue, *redis.Client, *os.Process) {
	t.Helper()
	url, server := redistest.Start(t)
	q, err := batch.OpenQueue(t.Context(), url, "low")
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(q.Options())
	t.Cleanup(func() { client.Close(); q.Close() })
	return q, client, server
}

func start(t *testing.T, cfg consumer.Config) *consumer.Consumer {
	t.Helper()
	c, err := consumer.New(cfg)
	if err == nil {
		err = c.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is for what comes at once on a machine that does nothing else.
const patience = 3 * time.Minute

// until waits for what other goroutines or processes do.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); !holds(); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func has(t *testing.T, store storage.Store, name string) bool {
	t.Helper()
	_, err := store.Get(t.Context(), name)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// A consumer serves batches of several queues without anybody's enqueuing, and
// again after Redis lost everything.
func TestEmptyRedisHeals(t *testing.T) {
	q, client, _ := openServer(t)
	store, p := &storage.Memory{}, &painter{}
	batches := []batch.Batch{putOn(t, store, "low", "a", manyLines(150)), putOn(t, store, "high", "b", manyLines(150))}
	own := putOn(t, store, "", "mine", manyLines(1))
	var told atomic.Int64
	c := start(t, consumer.Config{
		Store: store, Queue: q, Queues: map[string]int{"low": 1, "high": 3}, Renderer: p, Jobs: 2, Log: quiet(), Tend: 50 * time.Millisecond,
		Committed: func(consumer.Event) {
			if told.Add(1) == 40 {
				if err := client.FlushAll(context.Background()).Err(); err != nil {
					t.Error(err)
				}
			}
		},
	})
	until(t, "both batches done", func() bool { return has(t, store, "a/done.json") && has(t, store, "b/done.json") })
	until(t, "no task is left", func() bool { return len(client.Keys(t.Context(), "asynq:*:t:*").Val()) == 0 })
	c.Shutdown()
	for _, b := range batches {
		high, err := q.At(b.Queue)
		if err != nil {
			t.Fatal(err)
		}
		if counts, err := high.Count(t.Context(), b); err != nil || counts.Done != 150 {
			t.Errorf("%s: %+v, %v", b.Name, counts, err)
		}
	}
	if n := p.renders.Load(); n > 310 {
		t.Errorf("%d renders of 300 lines", n)
	}
	if has(t, store, own.DoneName()) {
		t.Error("a batch that a render works on was taken from it")
	}
}

// What asynq never comes to again: a hash in no list, a task without a lease,
// and a message that can't be read and keeps all leases from being looked at.
func TestLostTasksAreSwept(t *testing.T) {
	q, client, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "low", "b", manyLines(3))
	ctx := t.Context()
	id := func(line string) string { return "b:" + b.Manifest[:12] + ":" + line }
	long := float64(time.Now().Add(-time.Hour).Unix())
	client.HSet(ctx, "asynq:{low}:t:"+id("0"), "state", "pending", "msg", "x")
	client.HSet(ctx, "asynq:{low}:t:"+id("1"), "state", "active", "msg", "x")
	client.LPush(ctx, "asynq:{low}:active", id("1"))
	client.HSet(ctx, "asynq:{low}:t:"+id("2"), "state", "active", "msg", "no message")
	client.LPush(ctx, "asynq:{low}:active", id("2"))
	client.ZAdd(ctx, "asynq:{low}:lease", redis.Z{Score: long, Member: id("2")})
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Log: quiet(), Tend: 50 * time.Millisecond})
	until(t, "the batch is done", func() bool { return has(t, store, b.DoneName()) })
	until(t, "none of the lost tasks' keys is left", func() bool { // a feed may have enqueued a line once more, just as it ended
		return client.Exists(ctx, "asynq:{low}:t:"+id("0"), "asynq:{low}:active", "asynq:{low}:lease").Val() == 0
	})
	c.Shutdown()
}

// A job whose model this consumer lacks stays on the queue, with no attempt
// counted.
func TestModelElsewhere(t *testing.T) {
	defer consumer.Elsewhere(time.Hour)() // it isn't tried again meanwhile
	q, _, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "low", "b", manyLines(1))
	var tries atomic.Int64
	p := &painter{before: func(context.Context, job.Spec) error {
		tries.Add(1)
		return &job.Failure{Class: job.NoModel, Err: errors.New("no such model")}
	}}
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet(), Attempts: 1})
	until(t, "the task is put back", func() bool {
		info, err := q.Info()
		return err == nil && info.Retry == 1
	})
	c.Shutdown()
	if n, err := q.Attempts(t.Context(), b, 0); err != nil || n.Count != 0 || tries.Load() != 1 {
		t.Errorf("%+v attempts, %v, after %d tries", n, err, tries.Load())
	}
	if counts, _ := q.Count(t.Context(), b); counts.Failed != 0 {
		t.Error("it is a dead letter")
	}
}

// A queue may be named as the store's folders are: batches only may not.
func TestQueueNamedAsAFolder(t *testing.T) {
	q, _, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "models", "b", manyLines(1))
	c := start(t, consumer.Config{Store: store, Queue: q, Queues: map[string]int{"models": 1}, Renderer: &painter{}, Log: quiet(), Tend: 50 * time.Millisecond})
	until(t, "the batch is done", func() bool { return has(t, store, b.DoneName()) })
	c.Shutdown()
}

// Cancelling ends jobs that run, and no other line is begun.
func TestCancelRunning(t *testing.T) {
	q, _, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "low", "b", manyLines(5))
	begun, ended := make(chan struct{}, 5), make(chan error, 5)
	p := &painter{before: func(ctx context.Context, _ job.Spec) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet()})
	<-begun
	if err := batch.Cancel(t.Context(), store, q, b); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !strings.Contains(err.Error(), "cancelled") {
		t.Errorf("the job ended because of %v", err)
	}
	until(t, "the queue is empty", func() bool {
		info, err := q.Info()
		return err == nil && info.Size == 0
	})
	c.Shutdown()
	if n := p.renders.Load(); n != 1 {
		t.Errorf("%d jobs were begun, want 1", n)
	}
}

// What is enqueued right after a cancelled batch was opened again is not taken
// for what was cancelled.
func TestRetryRightAfterCancel(t *testing.T) {
	q, _, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "low", "b", manyLines(3))
	if err := batch.Cancel(t.Context(), store, q, b); err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Log: quiet(), Tend: time.Hour})
	until(t, "what was cancelled is dropped", func() bool {
		info, err := q.Info()
		return err == nil && info.Size == 0
	})
	if err := b.Reopen(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	until(t, "all lines have their pictures", func() bool {
		counts, err := q.Count(t.Context(), b)
		return err == nil && counts.Done == b.Lines
	})
	c.Shutdown()
}

// counter renders by counting its steps, and can stop between any two of them.
type counter struct {
	madeWith job.MadeWith
	mu       sync.Mutex
	began    []int // the step that each render began at
	at       func(ctx context.Context, step int)
}

func (r *counter) Render(ctx context.Context, order job.Order, progress func(step, steps int)) (job.Picture, error) {
	from := 0
	if c := order.Checkpoint; c != nil && c.MadeWith == r.madeWith {
		from = int(binary.LittleEndian.Uint64(c.State))
	}
	r.mu.Lock()
	r.began = append(r.began, from)
	r.mu.Unlock()
	for step := from; step < order.Spec.Steps; step++ {
		if ctx.Err() != nil {
			state := binary.LittleEndian.AppendUint64(nil, uint64(step))
			return job.Picture{}, &job.Preempted{Checkpoint: job.Checkpoint{MadeWith: r.madeWith, State: state}}
		}
		progress(step+1, order.Spec.Steps)
		if r.at != nil {
			r.at(ctx, step+1)
		}
	}
	return paint(order.Spec), nil
}

// A job that doesn't fit into the grace period goes on elsewhere from its
// checkpoint, unless that is damaged or another kind of machine's.
func TestCheckpoint(t *testing.T) {
	for name, c := range map[string]struct {
		madeWith job.MadeWith
		damage   bool
		spoil    string
		want     int
	}{
		"the same machine":     {paintedWith, false, "nothing", 3},
		"another machine":      {job.MadeWith{Device: "other"}, false, "nothing", 0},
		"damaged":              {paintedWith, true, "nothing", 0},
		"damaged to the store": {paintedWith, false, "checkpoints/", 0},
	} {
		t.Run(name, func(t *testing.T) {
			q, _, _ := openServer(t)
			store := &storage.Memory{}
			b := putOn(t, store, "low", "b", `{"prompt":"x","steps":10}`)
			third := make(chan struct{})
			first := &counter{madeWith: paintedWith, at: func(ctx context.Context, step int) {
				if step == 3 {
					close(third)
					<-ctx.Done()
				}
			}}
			worker := start(t, consumer.Config{Store: store, Queue: q, Renderer: first, Log: quiet(), Grace: time.Minute})
			<-third
			worker.Hurry()
			worker.Shutdown()
			var kept string
			for name := range files(t, store) {
				if strings.HasPrefix(name, "checkpoints/") {
					kept = name
				}
			}
			if kept == "" {
				t.Fatal("no checkpoint was kept")
			}
			if c.damage {
				data, _ := store.Get(t.Context(), kept)
				data[len(data)-1] ^= 1
				if err := store.Put(t.Context(), kept, data); err != nil {
					t.Fatal(err)
				}
			}
			second := &counter{madeWith: c.madeWith}
			worker = start(t, consumer.Config{Store: &spoiled{store, c.spoil}, Queue: q, Renderer: second, Log: quiet(), Tend: 50 * time.Millisecond})
			until(t, "the batch is done", func() bool { return has(t, store, b.DoneName()) })
			worker.Shutdown()
			if len(second.began) != 1 || second.began[0] != c.want {
				t.Errorf("it began at steps %v, want %d", second.began, c.want)
			}
			if has(t, store, kept) {
				t.Error("the checkpoint is still there")
			}
		})
	}
}
