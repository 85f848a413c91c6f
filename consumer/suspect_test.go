package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// cutAt is a Redis that is cut off, once, before what notes that a job is over.
type cutAt struct{ cuts atomic.Int64 }

func (c *cutAt) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cutAt) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := c.cut(cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (c *cutAt) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if err := c.cut(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (c *cutAt) cut(cmd redis.Cmder) error {
	if cmd.Name() == "hdel" && strings.Contains(cmd.Args()[1].(string), ":begun:") && c.cuts.Add(1) == 1 {
		return errors.New("cut off")
	}
	return nil
}

// A crash counts once, also where the next consumer is cut off while it counts.
func TestCrashCountsOnce(t *testing.T) {
	q, _, _ := openServer(t)
	store := &storage.Memory{}
	b := putOn(t, store, "low", "b", manyLines(1))
	if err := errors.Join(q.Begin(t.Context(), b, 0, true), q.Enqueue(t.Context(), b)); err != nil { // and never ended
		t.Fatal(err)
	}
	cut := &cutAt{}
	q.Observe(cut)
	ended := make(chan batch.Record, 1)
	var log bytes.Buffer
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: &painter{}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Committed: func(e consumer.Event) { ended <- e.Record }})
	if r := <-ended; r.Status != batch.Done || cut.cuts.Load() < 2 {
		t.Errorf("%+v, and %d cuts: want a picture after one", r, cut.cuts.Load())
	}
	c.Shutdown()
	if strings.Contains(log.String(), "times=2") {
		t.Errorf("one crash counts twice:\n%s", &log)
	}
}
