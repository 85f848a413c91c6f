//go:build unix

package consumer_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/redis/go-redis/v9"
)

// TestPoison renders 16 lines, of which one kills its process however often it
// is tried: that is one dead letter, and 15 pictures.
func TestPoison(t *testing.T) {
	if url := os.Getenv("POISON_REDIS"); url != "" {
		poisonConsumer(t, url, os.Getenv("POISON_STORE"))
		return
	}
	q, client, _ := openServer(t)
	dir := t.TempDir()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := putOn(t, store, "low", "b", strings.Repeat(`{"prompt":"a circle"}`+"\n", 15)+`{"prompt":"poison"}`)
	crashes := 0
	for ; !has(t, store, b.DoneName()); crashes++ {
		if crashes > 10 {
			t.Fatal("it doesn't end")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPoison$")
		cmd.Env = append(os.Environ(), "POISON_REDIS=unix://"+client.Options().Addr, "POISON_STORE="+dir)
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, out)
		}
		// A minute later: the leases of the dead are over, and its lead as well.
		client.Del(t.Context(), "darkroom:{low}:lead")
		for _, id := range client.ZRange(t.Context(), "asynq:{low}:lease", 0, -1).Val() {
			client.ZAdd(t.Context(), "asynq:{low}:lease", redis.Z{Score: float64(time.Now().Add(-time.Minute).Unix()), Member: id})
		}
	}
	if counts, err := q.Count(t.Context(), b); err != nil || counts.Done != 15 || counts.Failed != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
	for _, r := range readRecords(t, store, b) {
		if poisoned := r.Job.Prompt == "poison"; poisoned != (r.Status == batch.Failed) || poisoned && (r.Class != "poison" || len(r.Errors) != 3) {
			t.Errorf("line %d: %s %s %v", r.Index, r.Status, r.Class, r.Errors)
		}
	}
	if crashes < 3 || crashes > 5 {
		t.Errorf("%d processes died, want 3 alone after one or two with others", crashes)
	}
}

func poisonConsumer(t *testing.T, url, dir string) {
	q, err := batch.OpenQueue(t.Context(), url, "low")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &painter{before: func(_ context.Context, spec job.Spec) error {
		if spec.Prompt == "poison" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}}
	c := start(t, consumer.Config{Store: store, Queue: q, Renderer: p, Jobs: 4, Log: quiet(), Tend: 50 * time.Millisecond})
	until(t, "the batch is done", func() bool { return has(t, store, "b/done.json") })
	c.Shutdown()
}
