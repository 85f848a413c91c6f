package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/consumer/metrics"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// A consumer is ready from its start to its end, and counts what it puts back
// without a record.
func TestReadyAndPutBack(t *testing.T) {
	defer consumer.Elsewhere(time.Hour)() // what is put back is counted where it waits
	q, _, server := openServer(t)
	store := &storage.Memory{}
	putOn(t, store, "low", "b", manyLines(2))
	begun := make(chan struct{}, 2)
	var first atomic.Bool
	p := &painter{before: func(ctx context.Context, _ job.Spec) error {
		if first.CompareAndSwap(false, true) {
			return &job.Failure{Class: job.NoModel, Err: errors.New("no such model")}
		}
		begun <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	m := metrics.New("low")
	c, err := consumer.New(consumer.Config{Store: store, Queue: q, Renderer: p, Log: quiet(), Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	wantReady := func(want string) {
		t.Helper()
		if err := c.Ready(t.Context()); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("ready: %v, want %q", err, want)
		}
	}
	wantReady("has not begun")
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantReady("")
	<-begun
	wantCounts(t, m, `
# HELP darkroom_jobs_running Jobs that this consumer is rendering.
# TYPE darkroom_jobs_running gauge
darkroom_jobs_running{queue="low"} 1
# HELP darkroom_queue_tasks Tasks on the queue, by state, as Redis has it: a window of the lines that are open. Absent while Redis is away.
# TYPE darkroom_queue_tasks gauge
darkroom_queue_tasks{queue="low",state="active"} 1
darkroom_queue_tasks{queue="low",state="archived"} 0
darkroom_queue_tasks{queue="low",state="pending"} 0
darkroom_queue_tasks{queue="low",state="retry"} 1
darkroom_queue_tasks{queue="low",state="scheduled"} 0
`, "darkroom_jobs_running", "darkroom_queue_tasks")
	c.Hurry()
	wantReady("is ending")
	c.Shutdown()
	if err := server.Kill(); err != nil {
		t.Error(err)
	}
	wantCounts(t, m, `
# HELP darkroom_jobs_preempted_total Jobs that were put back to the head of the queue because this consumer ends.
# TYPE darkroom_jobs_preempted_total counter
darkroom_jobs_preempted_total{queue="low"} 1
# HELP darkroom_jobs_running Jobs that this consumer is rendering.
# TYPE darkroom_jobs_running gauge
darkroom_jobs_running{queue="low"} 0
# HELP darkroom_jobs_without_model_total Jobs that were put back because this consumer has not their model.
# TYPE darkroom_jobs_without_model_total counter
darkroom_jobs_without_model_total{queue="low"} 1
`, "darkroom_jobs_preempted_total", "darkroom_jobs_running", "darkroom_jobs_without_model_total", "darkroom_attempts_failed_total", "darkroom_lines_failed_total")
}

// wantCounts waits for counts: asynq's commands come a little later than what
// they are of.
func wantCounts(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	until(t, "the metrics say\n"+want, func() bool {
		return testutil.GatherAndCompare(m, strings.NewReader(want), names...) == nil
	})
}
