package consumer_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// The same name with other lines: those that stand as they were are not
// rendered again, new ones are, and what no longer belongs is named and kept.
func TestOtherLines(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		store, p := &storage.Memory{}, &painter{}
		var found batch.Found
		cfg := consumer.Config{Store: store, Queue: open(t), Renderer: p, Log: quiet(), Opened: func(f batch.Found) { found = f }}
		run := func(prompts ...string) batch.Counts {
			t.Helper()
			counts, err := consumer.Run(t.Context(), cfg, put(t, store, `{"prompt":"`+strings.Join(prompts, "\"}\n{\"prompt\":\"")+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			return counts
		}
		run("a", "b", "c")
		before := files(t, store)
		if c := run("a", "x", "c", "d"); c.Done != 4 || p.renders.Load() != 5 {
			t.Errorf("%+v after %d renders, want 4 after 5", c, p.renders.Load())
		}
		if found.Done != 2 || found.Stales != 2 || len(found.Stale) != 2 || !strings.HasPrefix(found.Stale[0], "b/00000001-") {
			t.Errorf("found %+v, %v", found.Counts, found.Stale)
		}
		after := files(t, store)
		for name, data := range before {
			if mark := name == "b/batch.json" || name == "b/done.json"; !mark && after[name] != data {
				t.Errorf("%s was changed", name)
			}
		}
		if c := run("a", "b", "c"); c.Done != 3 || p.renders.Load() != 5 {
			t.Errorf("back to the first lines: %+v after %d renders", c, p.renders.Load())
		}
	})
}

// Tasks of a manifest that no longer stands are dropped.
func TestTasksOfAnOlderManifest(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		store, q, p := &storage.Memory{}, open(t), &painter{}
		var rendered []string
		p.before = func(_ context.Context, spec job.Spec) error {
			rendered = append(rendered, spec.Prompt) // one job at a time
			return nil
		}
		older := put(t, store, `{"prompt":"old"}`)
		if err := q.Feed(t.Context(), store, older, 0); err != nil {
			t.Fatal(err)
		}
		newer := put(t, store, `{"prompt":"new"}`)
		if err := q.Feed(t.Context(), store, newer, 0); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		c, err := consumer.New(consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet(), Committed: func(consumer.Event) { close(done) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		c.Shutdown()
		if !slices.Equal(rendered, []string{"new"}) {
			t.Errorf("rendered %v, want only the new line", rendered)
		}
	})
}

func TestConfig(t *testing.T) {
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, cfg := range []consumer.Config{
		{Store: &storage.Memory{}, Queue: q},
		{Store: &storage.Memory{}, Renderer: &painter{}},
		{Queue: q, Renderer: &painter{}},
		{Store: &storage.Memory{}, Queue: q, Renderer: &painter{}, Jobs: -1},
	} {
		if _, err := consumer.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
