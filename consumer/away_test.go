package consumer_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// asked is a store that tells what is asked for, before it answers.
type asked struct {
	storage.Store
	about func(name string)
}

func (s *asked) Get(ctx context.Context, name string) ([]byte, error) {
	s.about(name)
	return s.Store.Get(ctx, name)
}

// TestRedisFailsBeforeRender has Redis fail just before a job's last attempt is
// to begin: the job had no part in that.
func TestRedisFailsBeforeRender(t *testing.T) {
	q, client, _ := openServer(t)
	memory := &storage.Memory{}
	b := putOn(t, memory, "low", "b", manyLines(1))
	begun := "darkroom:{low}:begun:b:" + b.Manifest[:12]
	var failures atomic.Int64
	store := &asked{memory, func(name string) {
		var err error
		switch {
		case strings.HasPrefix(name, "checkpoints/") && failures.Add(1) == 1:
			err = client.Set(t.Context(), begun, "no hash", 0).Err() // the last that is asked before a job begins
		case strings.HasPrefix(name, "b/00000000-"):
			err = client.Del(t.Context(), begun).Err() // the first of the next time
		}
		if err != nil {
			t.Error(err)
		}
	}}
	if err := q.SetAttempts(t.Context(), b, 0, batch.Attempts{Count: 2, Errors: []string{"one", "two"}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	ended := make(chan batch.Record, 1)
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Log: quiet(), Attempts: 3, Committed: func(e consumer.Event) {
		ended <- e.Record
	}})
	if r := <-ended; r.Status != batch.Done || r.Attempts != 3 || failures.Load() != 2 {
		t.Errorf("%+v after %d tries, want a picture of the third attempt at the second", r, failures.Load())
	}
	c.Shutdown()
}
