//go:build unix

package faults

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

const queue = "default"

// finish waits until a batch is done and its queue is empty, ends the consumers
// in good order, and then checks the batch.
func (r *rig) finish(name string, workers ...*worker) {
	r.t.Helper()
	r.settle(name)
	for _, w := range workers {
		w.stop()
	}
	r.check(name)
}

// settle waits until each line has its record and nothing is on the queue.
func (r *rig) settle(name string) {
	r.t.Helper()
	r.until("the batch is done", func() bool { return r.records(name) >= r.batch(name).Lines })
	r.until("the queue is empty", func() bool { return r.queued() == "" })
}

// batch reads batch.json.
func (r *rig) batch(name string) batch.Batch {
	r.t.Helper()
	b, err := batch.Open(context.Background(), &dirStore{r.dir}, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// check holds what is there against what is to be there: the batches, and
// nothing else.
func (r *rig) check(names ...string) {
	r.t.Helper()
	store := r.snapshot()
	allowed := map[string]bool{}
	wrong := 0
	fail := func(format string, args ...any) {
		r.t.Helper()
		if wrong++; wrong <= 20 {
			r.t.Errorf(format, args...)
		}
	}
	for _, name := range names {
		b := r.batch(name)
		allowed[name+"/batch.json"], allowed[b.DoneName()] = true, true
		for l := range manifest(r.t, store, b) {
			allowed[b.PictureName(l)], allowed[b.RecordName(l)] = true, true
			if err := checkLine(r.t.Context(), store, b, l); err != nil {
				fail("batch %s, line %d: %v", name, l.Index, err)
			}
		}
		for shard := range b.Shards() {
			allowed[b.ShardName(shard)] = true
		}
	}
	for _, object := range r.objects() {
		if !allowed[object] && !strings.HasPrefix(object, "models/") && !strings.HasPrefix(object, "inputs/") {
			fail("%s should not be there", object)
		}
	}
	if left := r.queued(); left != "" {
		fail("the queue is not empty: %s", left)
	}
}

// manifest yields a batch's lines.
func manifest(t *testing.T, store storage.Store, b batch.Batch) iter.Seq[batch.Line] {
	return func(yield func(batch.Line) bool) {
		t.Helper()
		index := 0
		for shard := range b.Shards() {
			data, err := store.Get(t.Context(), b.ShardName(shard))
			if err != nil {
				t.Fatal(err)
			}
			for text := range strings.Lines(string(data)) {
				l := batch.Task{Index: index, Job: json.RawMessage(strings.TrimSuffix(text, "\n"))}.Line()
				if index++; !yield(l) {
					return
				}
			}
		}
		if index != b.Lines {
			t.Errorf("the manifest of %s has %d lines, want %d", b.Name, index, b.Lines)
		}
	}
}

// checkLine holds a line's record and picture against what its job decides.
func checkLine(ctx context.Context, store storage.Store, b batch.Batch, l batch.Line) error {
	if l.Fault != nil {
		return l.Fault
	}
	record, err := b.ReadRecord(ctx, store, l)
	if err != nil {
		return err
	}
	picture, err := store.Get(ctx, b.PictureName(l))
	there := err == nil
	class := ""
	for wish, until := range wishes(l.Spec.Prompt) {
		if until == "" {
			class += map[string]string{"bad": "bad_job", "panic": "panic", "crash": "poison", "killed": "poison"}[wish]
		}
	}
	if class != "" {
		if record.Status != batch.Failed || there || record.Class != class {
			return fmt.Errorf("%q: %s as %q, a picture %v; want a dead letter as %q", l.Spec.Prompt, record.Status, record.Class, there, class)
		}
		return nil
	}
	if record.Status != batch.Done || !there {
		return fmt.Errorf("%q: %s, a picture %v: %s %q", l.Spec.Prompt, record.Status, there, record.Class, record.Errors)
	}
	if string(picture) != string(draw(l.Spec).Data) {
		return fmt.Errorf("%q: its picture is another one", l.Spec.Prompt)
	}
	if sum := sha256.Sum256(picture); record.SHA256 != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%q: its record is of another picture", l.Spec.Prompt)
	}
	return nil
}

// queued says what is on the queue, or left behind there; empty: nothing.
func (r *rig) queued() string {
	ctx := context.Background()
	var found []string
	for _, list := range []string{"pending", "active"} {
		if n, err := r.client.LLen(ctx, "asynq:{"+queue+"}:"+list).Result(); err != nil || n > 0 {
			found = append(found, fmt.Sprintf("%s: %d %v", list, n, err))
		}
	}
	for _, set := range []string{"lease", "scheduled", "retry", "archived", "completed"} {
		if n, err := r.client.ZCard(ctx, "asynq:{"+queue+"}:"+set).Result(); err != nil || n > 0 {
			found = append(found, fmt.Sprintf("%s: %d %v", set, n, err))
		}
	}
	if keys, err := r.client.Keys(ctx, "asynq:{"+queue+"}:t:*").Result(); err != nil || len(keys) > 0 {
		found = append(found, fmt.Sprintf("%d tasks %v, such as %v", len(keys), err, keys[:min(3, len(keys))]))
	}
	return strings.Join(found, "; ")
}

// state is what a test that waits in vain tells.
func (r *rig) state() string {
	return fmt.Sprintf("on the queue: %s\nin the store: %d objects\nrenders: %d begun, %d ended", r.queued(), len(r.objects()),
		r.seen.count("begin", all), r.seen.count("end", all))
}
