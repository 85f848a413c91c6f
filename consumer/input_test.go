package consumer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// reader asks for pictures as a job would that somebody had a hand in.
type reader struct {
	names []string
	got   map[string]error
}

func (r *reader) Render(ctx context.Context, order job.Order, _ func(step, steps int)) (job.Picture, error) {
	for _, name := range r.names {
		_, r.got[name] = order.Input(ctx, name)
	}
	return paint(order.Spec), nil
}

// TestInputsOnly holds that a job reads nothing of the store but pictures, each
// the one that its name says.
func TestInputsOnly(t *testing.T) {
	store := &storage.Memory{}
	sum := sha256.Sum256([]byte("a picture"))
	whole := job.InputName(hex.EncodeToString(sum[:]), "png")
	forged := job.InputName(strings.Repeat("0", 64), "png")
	for _, name := range []string{whole, forged, "secret/" + hex.EncodeToString(sum[:]) + ".png"} {
		if err := store.Put(t.Context(), name, []byte("a picture")); err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string]string{
		whole: "", forged: "is not what its name says", job.InputName(strings.Repeat("1", 64), "png"): "is not in the store",
		"secret/" + hex.EncodeToString(sum[:]) + ".png": "no picture of the store", "b/batch.json": "no picture of the store",
		"inputs/../b/batch.json": "no picture of the store", "/etc/passwd": "no picture of the store", "": "no picture of the store",
		"inputs/" + strings.Repeat("1", 64) + ".":     "no picture of the store",
		job.InputName(strings.Repeat("2", 64), "png"): "is not what its name says",
	}
	r := &reader{got: map[string]error{}}
	for name := range wants {
		r.names = append(r.names, name)
	}
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := consumer.Run(t.Context(), consumer.Config{Store: &spoiled{store, "inputs/2"}, Queue: q, Renderer: r, Log: quiet()}, put(t, store, "{}")); err != nil {
		t.Fatal(err)
	}
	for name, want := range wants {
		err := r.got[name]
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || job.ClassOf(err) != job.BadJob):
			t.Errorf("%q: %v (%s), want a bad job: %s", name, err, job.ClassOf(err), want)
		}
	}
}

// spoiled is a store that finds what it has under a prefix damaged.
type spoiled struct {
	storage.Store
	prefix string
}

func (s *spoiled) Get(ctx context.Context, name string) ([]byte, error) {
	if strings.HasPrefix(name, s.prefix) {
		return nil, fmt.Errorf("reading %s: %w", name, storage.ErrDamaged)
	}
	return s.Store.Get(ctx, name)
}

// needy is a renderer of jobs that need a picture where their prompt says so.
type needy struct{ picture string }

func (r needy) Render(ctx context.Context, order job.Order, _ func(step, steps int)) (job.Picture, error) {
	if order.Spec.Prompt == "needs a picture" {
		if _, err := order.Input(ctx, r.picture); err != nil {
			return job.Picture{}, err
		}
	}
	return paint(order.Spec), nil
}

// withoutInputs is a store whose inputs can't be read while away says so.
type withoutInputs struct {
	storage.Store
	away func() bool
}

func (s *withoutInputs) Get(ctx context.Context, name string) ([]byte, error) {
	if strings.HasPrefix(name, "inputs/") && s.away() {
		return nil, errors.New("503 slow down")
	}
	return s.Store.Get(ctx, name)
}

// TestInputsAway has a job wait for its picture for longer than it may go
// without a step: it is the store that is stuck, and not the job.
func TestInputsAway(t *testing.T) {
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	memory := &storage.Memory{}
	sum := sha256.Sum256([]byte("a picture"))
	name := job.InputName(hex.EncodeToString(sum[:]), "png")
	if err := memory.Put(t.Context(), name, []byte("a picture")); err != nil {
		t.Fatal(err)
	}
	const timeout = time.Second
	var first time.Time // of the job, which is alone
	store := &withoutInputs{memory, func() bool {
		if first.IsZero() {
			first = time.Now()
		}
		return time.Since(first) < 2*timeout
	}}
	cfg := consumer.Config{Store: store, Queue: q, Renderer: needy{name}, Attempts: 1, StepTimeout: timeout, Log: quiet()}
	counts, err := consumer.Run(t.Context(), cfg, put(t, store, `{"prompt":"needs a picture"}`))
	if err != nil || counts.Done != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// TestCancelWithoutInputs cancels a job that waits for its picture: it gives
// its place on the device to others, though the store doesn't come back.
func TestCancelWithoutInputs(t *testing.T) {
	q, _, _ := openServer(t)
	asked := make(chan struct{}, 1)
	store := &withoutInputs{&storage.Memory{}, func() bool {
		select {
		case asked <- struct{}{}:
		default:
		}
		return true
	}}
	waits := putOn(t, store, "low", "waits", `{"prompt":"needs a picture"}`)
	if err := q.Enqueue(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	picture := job.InputName(strings.Repeat("1", 64), "png")
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: needy{picture}, Log: quiet(), Tend: 50 * time.Millisecond})
	<-asked
	if err := batch.Cancel(t.Context(), store, q, waits); err != nil {
		t.Fatal(err)
	}
	other := putOn(t, store, "low", "other", manyLines(1))
	until(t, "the other batch is done", func() bool { return has(t, store, other.DoneName()) })
	c.Shutdown()
}
