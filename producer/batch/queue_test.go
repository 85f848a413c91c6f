package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bothQueues runs a test with Redis inside of the process and with a server.
func bothQueues(t *testing.T, test func(t *testing.T, q *Queue)) {
	open := func(t *testing.T, url string) *Queue {
		q, err := OpenQueue(t.Context(), url, "q")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { q.Close() })
		return q
	}
	t.Run("inside", func(t *testing.T) { test(t, open(t, "")) })
	t.Run("server", func(t *testing.T) {
		url, _ := redistest.Start(t)
		test(t, open(t, url))
	})
}

// newBatch puts a batch of some lines, whose seeds are their indexes.
func newBatch(t testing.TB, store storage.Store, lines int, seed int) Batch {
	t.Helper()
	b := Batch{Name: "b", Manifest: fmt.Sprintf("%064x", lines+seed<<32), Lines: lines}
	b.Folders = b.Shards() > 1
	for shard := range b.Shards() {
		var text strings.Builder
		first, end := b.shardRange(shard)
		for i := first; i < end; i++ {
			fmt.Fprintf(&text, `{"model":"house@%s","prompt":"a circle","seed":%d,"steps":4,"sampler":"euler","guidance_scale":5,"guidance_end":1,"width":8,"height":8,"format":"png"}`+"\n", testModel.Digest, seed+i)
		}
		if err := store.Put(t.Context(), b.ShardName(shard), []byte(text.String())); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return b
}

// newQueued is newBatch for one that is on the queue of bothQueues.
func newQueued(t testing.TB, store storage.Store, lines int, seed int) Batch {
	t.Helper()
	b := newBatch(t, store, lines, seed)
	b.Queue = "q"
	if err := b.Save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return b
}

// lineOf reads a line of the manifest.
func lineOf(t testing.TB, store storage.Store, b Batch, index int) Line {
	t.Helper()
	lines, err := b.shard(t.Context(), store, index/ShardLines)
	if err != nil {
		t.Fatal(err)
	}
	return decodeLine(index, lines[index%ShardLines])
}

func finish(t testing.TB, store storage.Store, b Batch, index int) {
	t.Helper()
	p := job.Picture{Data: fakePNG(job.MadeWith{}), Ext: "png"}
	if _, err := (Commit{store, b}).Done(t.Context(), lineOf(t, store, b, index), p, 1); err != nil {
		t.Fatal(err)
	}
}

func fail(t testing.TB, store storage.Store, b Batch, index int) {
	t.Helper()
	if _, err := (Commit{store, b}).Fail(t.Context(), lineOf(t, store, b, index), Failure{Class: "bad_job", Errors: []string{"no"}, Attempts: 1}); err != nil {
		t.Fatal(err)
	}
}

// tasks lists the pending tasks, the oldest first: indexes, and shards of
// feeds as -1, -2, ...
func tasks(t *testing.T, q *Queue) (list []int) {
	t.Helper()
	for page := 1; ; page++ {
		infos, err := q.inspector.ListPendingTasks(q.name, asynq.PageSize(5000), asynq.Page(page))
		if errors.Is(err, asynq.ErrQueueNotFound) || err == nil && len(infos) == 0 {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			task, err := ParseTask(info.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if info.Type == TypeFeed {
				list = append(list, -1-task.Shard)
			} else {
				list = append(list, task.Index)
			}
		}
	}
}

// A feed enqueues most of a shard, the next feed, and the rest, without the
// lines that have a record and without those that are enqueued already.
func TestFeed(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newBatch(t, store, 2*ShardLines+10, 0)
		const left, before = 20, 15 // of shard 0, and of those the ones before the next feed
		for i := range ShardLines - left {
			// Only the record's name counts here.
			if err := store.Put(t.Context(), b.RecordName(lineOf0(b, i)), []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := q.Feed(t.Context(), store, b, 0); err != nil {
				t.Fatal(err)
			}
			list := tasks(t, q)
			if len(list) != left+1 || list[before] != -2 {
				t.Fatalf("fed %v, want %d tasks with the next feed behind %d", list, left+1, before)
			}
			first := slices.Sorted(slices.Values(list[:before]))
			for i, index := range first {
				if index != ShardLines-left+i {
					t.Errorf("the first are %v", first)
					break
				}
			}
		}
	})
}

// lineOf0 is lineOf for newBatch's lines, without reading the shard.
func lineOf0(b Batch, index int) Line {
	spec, faults := job.Decode(fmt.Appendf(nil, `{"model":"house@%s","prompt":"a circle","seed":%d,"steps":4,"sampler":"euler","guidance_scale":5,"guidance_end":1,"width":8,"height":8,"format":"png"}`, testModel.Digest, index))
	if faults != nil {
		panic(faults)
	}
	return Line{Index: index, Key: spec.Key(), Spec: spec}
}

// A feed of a shard that is done goes on to the next one.
func TestFeedPassesOverWhatIsDone(t *testing.T) {
	q, err := OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	store := &storage.Memory{}
	b := newBatch(t, store, ShardLines+3, 0)
	for i := range ShardLines {
		if err := store.Put(t.Context(), b.RecordName(lineOf0(b, i)), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Feed(t.Context(), store, b, 0); err != nil {
		t.Fatal(err)
	}
	if list := slices.Sorted(slices.Values(tasks(t, q))); !slices.Equal(list, []int{ShardLines, ShardLines + 1, ShardLines + 2}) {
		t.Errorf("fed %v", list)
	}
}

// Marks that were lost are set again: a batch does not stay open for their sake.
func TestFeedMarksAgain(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newQueued(t, store, 20, 0)
		if _, err := q.Tend(t.Context(), store); err != nil { // which lists it
			t.Fatal(err)
		}
		for index := range b.Lines { // and these are committed while Redis is away
			if index == 7 {
				fail(t, store, b, index)
			} else {
				finish(t, store, b, index)
			}
		}
		if err := q.Feed(t.Context(), store, b, 0); err != nil {
			t.Fatal(err)
		}
		counts, err := q.Count(t.Context(), b)
		if want := (Counts{Lines: 20, Done: 19, Failed: 1}); err != nil || counts != want {
			t.Errorf("%+v, %v, want %+v", counts, err, want)
		}
		if tended, err := q.Tend(t.Context(), store); err != nil || tended.Finished != 1 {
			t.Errorf("%+v, %v: the batch is not marked as done", tended, err)
		}
	})
}

// asynq refuses an id that it keeps of an archived or a completed task.
func TestEnqueueOverAnEndedTask(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newBatch(t, store, 1, 0)
		if err := q.Feed(t.Context(), store, b, 0); err != nil {
			t.Fatal(err)
		}
		id := "b:" + b.Manifest[:12] + ":0"
		if err := q.inspector.ArchiveTask(q.name, id); err != nil {
			t.Fatal(err)
		}
		if list := tasks(t, q); len(list) != 0 {
			t.Fatalf("pending %v", list)
		}
		if err := q.Feed(t.Context(), store, b, 0); err != nil {
			t.Fatal(err)
		}
		if list := tasks(t, q); !slices.Equal(list, []int{0}) {
			t.Errorf("pending %v, want the task again", list)
		}
	})
}

// Reconcile finds from the store alone what Redis doesn't know, and tells what
// no longer belongs and what is gone.
func TestReconcile(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		ctx := t.Context()
		older := newBatch(t, store, 12, 1000) // other seeds, other keys
		finish(t, store, older, 1)
		finish(t, store, older, 11)
		b := newBatch(t, store, 10, 0)
		finish(t, store, b, 0)
		finish(t, store, b, 1)
		fail(t, store, b, 2)
		finish(t, store, b, 3) // its picture is gone
		if err := store.Delete(ctx, b.PictureName(lineOf(t, store, b, 3))); err != nil {
			t.Fatal(err)
		}
		fail(t, store, b, 4) // a dead letter beside a picture
		if err := store.Put(ctx, b.PictureName(lineOf(t, store, b, 4)), fakePNG(job.MadeWith{})); err != nil {
			t.Fatal(err)
		}
		if err := store.Put(ctx, b.PictureName(lineOf(t, store, b, 5)), fakePNG(job.MadeWith{})); err != nil { // no record
			t.Fatal(err)
		}
		if err := store.Put(ctx, "b/notes.txt", []byte("mine")); err != nil {
			t.Fatal(err)
		}
		if err := q.Mark(ctx, b, Record{Index: 9, Status: Done}); err != nil { // the store knows nothing of it
			t.Fatal(err)
		}

		for range 2 {
			found, err := Reconcile(ctx, store, q, b)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Counts{Lines: 10, Done: 4, Failed: 1}); found.Counts != want || found.Recorded.Count() != 5 {
				t.Errorf("%+v, want %+v", found.Counts, want)
			}
			if found.Stales != 4 || len(found.Stale) != 4 || !strings.HasPrefix(found.Stale[0], "b/00000001-") || !strings.HasPrefix(found.Stale[3], "b/00000011-") {
				t.Errorf("stale: %v", found.Stale)
			}
			if want := b.RecordName(lineOf(t, store, b, 3)); found.Losses != 1 || !slices.Equal(found.Lost, []string{want}) {
				t.Errorf("lost: %v, want %s", found.Lost, want)
			}
			counts, err := q.Count(ctx, b)
			if err != nil || counts != found.Counts {
				t.Errorf("Redis counts %+v, %v; want %+v", counts, err, found.Counts)
			}
		}
		if r, err := b.ReadRecord(ctx, store, lineOf(t, store, b, 4)); err != nil || r.Status != Done {
			t.Errorf("beside a picture: %+v, %v", r, err)
		}
	})
}

// Marking a line twice counts once, and a dead letter that gives way counts as
// done.
func TestProgress(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		b := Batch{Name: "b", Manifest: strings.Repeat("0", 64), Lines: 30_000}
		for _, m := range []struct {
			index  int
			status Status
		}{{0, Done}, {0, Done}, {29_999, Failed}, {7, Failed}, {7, Done}} {
			if err := q.Mark(t.Context(), b, Record{Index: m.index, Status: m.status}); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := q.Count(t.Context(), b); err != nil || c != (Counts{30_000, 2, 1}) {
			t.Errorf("%+v, %v", c, err)
		}
		if err := q.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, err := q.Count(t.Context(), b); err != nil || c != (Counts{30_000, 0, 0}) {
			t.Errorf("after Clear: %+v, %v", c, err)
		}
	})
}

func TestRetry(t *testing.T) {
	store := &storage.Memory{}
	b := newBatch(t, store, 2, 0)
	fail(t, store, b, 0)
	finish(t, store, b, 1)
	c := Commit{store, b}
	if was, err := c.Retry(t.Context(), lineOf(t, store, b, 0)); err != nil || !was {
		t.Errorf("a dead letter: %v, %v", was, err)
	}
	for i := range 2 { // none, and a done record
		if was, err := c.Retry(t.Context(), lineOf(t, store, b, i)); err != nil || was {
			t.Errorf("line %d: %v, %v", i, was, err)
		}
	}
	if _, err := b.ReadRecord(t.Context(), store, lineOf(t, store, b, 1)); err != nil {
		t.Error(err)
	}
}

// A line that took its processes with it has all its attempts again.
func TestRetryForgetsCrashes(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newBatch(t, store, 2, 0)
		for i := range b.Lines {
			if err := q.SetAttempts(t.Context(), b, i, Attempts{Crashes: 3, Errors: []string{"died"}}); err != nil {
				t.Fatal(err)
			}
			if err := q.Begin(t.Context(), b, i, true); err != nil {
				t.Fatal(err)
			}
		}
		fail(t, store, b, 0)
		if taken, err := Retry(t.Context(), store, q, b, nil); err != nil || taken != 1 {
			t.Fatalf("%d taken back, %v", taken, err)
		}
		if past, err := q.Past(t.Context(), b, 0); err != nil || past.Crashes != 0 || past.Errors != nil || past.Crashed {
			t.Errorf("line 0 begins with %+v, %v", past, err)
		}
		if past, err := q.Past(t.Context(), b, 1); err != nil || past.Crashes != 3 || !past.CrashedAlone {
			t.Errorf("line 1, which is no dead letter, has %+v, %v", past, err)
		}
	})
}

// Errors name the host, and never the password.
func TestOpenQueueErrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range []struct{ url, want string }{
		{"redis://user:hunter2@127.0.0.1:1/0", "reaching Redis at 127.0.0.1:1: "},
		{"http://user:hunter2@host", "want redis://"},
		{"redis://user:hunter2@host/one", "want redis://"},
		{"localhost:6379", "want redis://"},
		{"redis://user:hunter2@host/x%zz", "want redis://"},
	} {
		q, err := OpenQueue(ctx, c.url, "q")
		if err == nil {
			q.Close()
			t.Errorf("%s was opened", c.url)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q and no password", c.url, err, c.want)
		}
	}
	if _, err := OpenQueue(ctx, "", "a{b}"); err == nil {
		t.Error("a queue name with braces was taken")
	}
}

func TestParseTask(t *testing.T) {
	digest := strings.Repeat("0", 64)
	for payload, version := range map[string]bool{
		``: false, `[]`: false, `{"v":1}`: false, `{"v":1,"batch":"../x","manifest":"` + digest + `"}`: false,
		`{"v":1,"batch":"b","manifest":"` + digest + `","index":-1}`: false, `{"v":2,"batch":"b","manifest":"` + digest + `"}`: true,
		`{"to":"somebody"}`: false, `{"batch":"b","manifest":"` + digest + `"}`: false,
	} {
		if _, err := ParseTask([]byte(payload)); err == nil || errors.Is(err, ErrVersion) != version {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestNames(t *testing.T) {
	b := Batch{Name: "b", Lines: 20_001, Manifest: strings.Repeat("0", 64)}
	l := Line{Index: 12_345, Key: testLine.Key, Spec: testLine.Spec}
	flat := "b/00012345-" + l.Key.Short() + ".png"
	if got := b.PictureName(l); got != flat {
		t.Errorf("%s, want %s", got, flat)
	}
	b.Folders = true
	nested := "b/00001/00012345-" + l.Key.Short() + ".json"
	if got := b.RecordName(l); got != nested {
		t.Errorf("%s, want %s", got, nested)
	}
	if o, ok := b.parseObject(nested); !ok || o.index != 12_345 || o.key != l.Key.Short() || o.ext != "json" {
		t.Errorf("%+v, %v", o, ok)
	}
	for _, name := range []string{flat, "b/00002/00012345-" + l.Key.Short() + ".json", "b/batch.json", "b/manifest/x/00000.jsonl", "b/00001/0001234x-" + l.Key.Short() + ".json"} {
		if o, ok := b.parseObject(name); ok {
			t.Errorf("%s was taken for %+v", name, o)
		}
	}
	for _, name := range []string{"", ".", "..", ".darkroom", "a/b", "inputs", "a:b", "ü", strings.Repeat("x", 101)} {
		if CheckName(name) == nil {
			t.Errorf("batch name %q was taken", name)
		}
		// The store's folders are no queues.
		if err := CheckQueue(name); (err == nil) != reserved[name] {
			t.Errorf("queue name %q: %v", name, err)
		}
	}
}

// Who asks for a queue's tasks finds them, also after Redis came back empty
// under the clients that enqueue them.
func TestQueueIsKnownAgain(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		b := Batch{Name: "b", Manifest: strings.Repeat("0", 64), Lines: 1}
		if err := q.EnqueueFeed(ctx, b, 0); err != nil {
			t.Fatal(err)
		}
		if err := q.redis.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Tend(ctx, &storage.Memory{}); err != nil {
			t.Fatal(err)
		}
		if err := q.EnqueueFeed(ctx, b, 0); err != nil {
			t.Fatal(err)
		}
		if info, err := q.Info(); err != nil || info.Pending != 1 {
			t.Errorf("%+v, %v, want one task that waits", info, err)
		}
	})
}

// A record that is another line's, or another job's, is told of, and counted for
// nobody.
func TestRecordOfAnotherLine(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newBatch(t, store, 3, 0)
		finish(t, store, b, 0)
		theirs, err := store.Get(ctx, b.RecordName(lineOf(t, store, b, 0)))
		if err != nil {
			t.Fatal(err)
		}
		name := b.RecordName(lineOf(t, store, b, 2))
		if err := errors.Join(store.Put(ctx, name, theirs), store.Delete(ctx, b.RecordName(lineOf(t, store, b, 0)))); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"reading it": func() error { _, err := b.ReadRecord(ctx, store, lineOf(t, store, b, 2)); return err }(),
			"the start":  func() error { _, err := Commit{store, b}.Start(ctx, lineOf(t, store, b, 2)); return err }(),
		} {
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name+" is damaged (it is of line 0 and the job ") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := q.Feed(ctx, store, b, 0); err != nil {
			t.Fatal(err)
		}
		if counts, err := q.Count(ctx, b); err != nil || counts.Done != 0 {
			t.Errorf("%+v, %v, want none done", counts, err)
		}
	})
}
