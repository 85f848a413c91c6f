package batch

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/darkroom/darkroom/storage"
)

// The rate counts pictures, each time one is done, over the slices since the
// first; what lies further back no longer counts.
func TestRate(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newBatch(t, store, 1000, 0)
		if p, err := q.Progress(t.Context(), store, b); err != nil || p.Rate != 0 || p.ETA != nil {
			t.Fatalf("before the first picture: %+v, %v", p, err)
		}
		for i := range 30 {
			if err := q.Mark(t.Context(), b, Record{Index: i, Status: Done}); err != nil {
				t.Fatal(err)
			}
		}
		p, err := q.Progress(t.Context(), store, b)
		if err != nil || p.Rate < 30./(2*sliceSeconds) || p.Rate > 30 || p.ETA == nil || *p.ETA != 970/p.Rate {
			t.Errorf("after 30 pictures: %+v, %v", p, err)
		}
		for _, back := range []int64{1, 2, rateSlices, rateSlices + 1} { // the last two are too long ago, or will be in a moment
			key := q.sliceKey(b, time.Now().Unix()/sliceSeconds-back)
			if err := q.redis.Set(t.Context(), key, 600, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		p, err = q.Progress(t.Context(), store, b)
		if err != nil || p.Rate < 1200./(4*sliceSeconds) || p.Rate > 1230./(1*sliceSeconds) {
			t.Errorf("after three slices: %+v, %v", p, err)
		}
	})
}

// A line that fails is told once, and once more when it fails again after a
// retry.
func TestDeadLettersSeen(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		store := &storage.Memory{}
		b := newBatch(t, store, 3, 0)
		seen := NewBits(b.Lines)
		told := func() (n int) {
			t.Helper()
			for letter, err := range q.DeadLetters(t.Context(), store, b, seen) {
				if err != nil || letter.Line.Index != 1 {
					t.Fatalf("%+v, %v", letter, err)
				}
				n++
			}
			return n
		}
		failAndMark := func() {
			t.Helper()
			fail(t, store, b, 1)
			if err := q.Mark(t.Context(), b, Record{Index: 1, Status: Failed, Class: "render"}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			failAndMark()
			if first, again := told(), told(); first != 1 || again != 0 {
				t.Errorf("told %d times, and then %d times", first, again)
			}
			if taken, err := Retry(t.Context(), store, q, b, nil); err != nil || taken != 1 {
				t.Fatalf("%d taken back, %v", taken, err)
			}
			if n := told(); n != 0 {
				t.Errorf("told %d times after it was taken back", n)
			}
		}
	})
}

// What a batch came to, its mark tells when Redis no longer knows, as long as
// its lines have their records.
func TestProgressOfWhatIsDone(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newQueued(t, store, 3, 0)
		finish(t, store, b, 0)
		fail(t, store, b, 1)
		finish(t, store, b, 2)
		if tended, err := q.Tend(ctx, store); err != nil || tended.Finished != 1 {
			t.Fatalf("%+v, %v", tended, err)
		}
		is := func(when string, done, failed, queued int) {
			t.Helper()
			p, err := q.Progress(ctx, store, b)
			if err != nil || p.Done != done || p.Failed != failed || p.Queued != queued || p.Running+p.Cancelled != 0 || (p.ETA != nil) != (queued == 0) {
				t.Errorf("%s: %+v, %v", when, p, err)
			}
			want := map[string]int{}
			if failed > 0 {
				want["bad_job"] = failed
			}
			if p.FailedByClass == nil || !maps.Equal(p.FailedByClass, want) {
				t.Errorf("%s: failed %v, want %v", when, p.FailedByClass, want)
			}
		}
		is("when it is done", 2, 1, 0)
		if err := q.redis.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		is("when Redis has forgotten it", 2, 1, 0)
		if _, err := Reconcile(ctx, store, q, b); err != nil {
			t.Fatal(err)
		}
		is("when Redis knows again", 2, 1, 0)
		if err := store.Delete(ctx, b.RecordName(lineOf(t, store, b, 1))); err != nil {
			t.Fatal(err)
		}
		if _, err := Reconcile(ctx, store, q, b); err != nil {
			t.Fatal(err)
		}
		is("when somebody deleted a record", 2, 0, 1)
	})
}

// A line counts for the class that it failed of last, and for none once it is
// done.
func TestFailedByClass(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newBatch(t, store, 4, 0)
		is := func(when string, want map[string]int) {
			t.Helper()
			if got, err := q.failedByClass(ctx, b); err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: %v, %v, want %v", when, got, err, want)
			}
		}
		mark := func(index int, s Status, class string) {
			t.Helper()
			if err := q.Mark(ctx, b, Record{Index: index, Status: s, Class: class}); err != nil {
				t.Fatal(err)
			}
		}
		mark(0, Failed, "render")
		mark(1, Failed, "render")
		mark(2, Failed, "bad_job")
		mark(3, Failed, "render")
		is("failed", map[string]int{"render": 3, "bad_job": 1})
		mark(0, Done, "")
		is("one gave way to a picture", map[string]int{"render": 2, "bad_job": 1})
		mark(1, Failed, "poison")
		is("one failed of something else", map[string]int{"render": 1, "bad_job": 1, "poison": 1})
		if _, err := Reconcile(ctx, store, q, b); err != nil { // the store knows of none
			t.Fatal(err)
		}
		is("somebody deleted their records", map[string]int{})
	})
}

// Redis doesn't keep for ever what it knows of a batch, done or not.
func TestRedisForgets(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newQueued(t, store, 2, 0)
		fail(t, store, b, 0)
		for _, err := range []error{
			q.Mark(ctx, b, Record{Index: 0, Status: Failed, Class: "bad_job"}),
			q.SetAttempts(ctx, b, 1, Attempts{Count: 1}), q.Begin(ctx, b, 1, false), Cancel(ctx, store, q, b), b.Reopen(ctx, store),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		within := func(when string, most time.Duration) {
			t.Helper()
			keys, err := q.redis.Keys(ctx, q.key("*")).Result()
			if err != nil || len(keys) < 4 {
				t.Fatalf("%s: %v, %v", when, keys, err)
			}
			for _, key := range keys {
				if left, err := q.redis.TTL(ctx, key).Result(); err != nil || left <= 0 || left > most {
					t.Errorf("%s: %s stays for %v, %v; want %v at most", when, key, left, err, most)
				}
			}
		}
		if tended, err := q.Tend(ctx, store); err != nil || tended.Open != 1 {
			t.Fatalf("%+v, %v", tended, err)
		}
		within("open", abandoned)
		finish(t, store, b, 1)
		if err := q.Mark(ctx, b, Record{Index: 1, Status: Done}); err != nil {
			t.Fatal(err)
		}
		if tended, err := q.Tend(ctx, store); err != nil || tended.Finished != 1 {
			t.Fatalf("%+v, %v", tended, err)
		}
		within("done", 7*24*time.Hour)
	})
}

// A retry that comes between a look at how far a batch is and its mark opens
// the batch all the same.
func TestRetryWhileFinishing(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		memory := &storage.Memory{}
		b := newQueued(t, memory, 1, 0)
		fail(t, memory, b, 0)
		store := &beforePut{Store: memory, name: b.DoneName(), do: func() {
			if taken, err := Retry(ctx, memory, q, b, nil); err != nil || taken != 1 {
				t.Errorf("%d taken back, %v", taken, err)
			}
			if err := b.Reopen(ctx, memory); err != nil {
				t.Error(err)
			}
		}}
		if tended, err := q.Tend(ctx, store); err != nil || tended.Finished != 0 {
			t.Errorf("%+v, %v: it has an open line", tended, err)
		}
		if p, err := q.Progress(ctx, memory, b); err != nil || p.Queued != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		if tended, err := q.Tend(ctx, memory); err != nil || tended.Open != 1 {
			t.Errorf("%+v, %v: nobody looks after it", tended, err)
		}
	})
}

// A consumer, or a Reconcile, that read a dead letter marks its line just after
// a retry has taken it back: the line does not stay without a record for that.
func TestMarkAfterRetry(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newQueued(t, store, 3, 0)
		finish(t, store, b, 0)
		fail(t, store, b, 1)
		fail(t, store, b, 2)
		late := Record{Index: 1, Status: Failed, Class: "bad_job"}
		only := func(r Record) bool { return r.Index == 1 }
		if taken, err := Retry(ctx, store, q, b, only); err != nil || taken != 1 {
			t.Fatalf("%d taken back, %v", taken, err)
		}
		if err := q.Mark(ctx, b, late); err != nil {
			t.Fatal(err)
		}
		if err := q.redis.Set(ctx, q.whole(b), "1", wholeEvery).Err(); err != nil { // listed a while ago
			t.Fatal(err)
		}
		for range 3 { // it is found, it moves, and it stands still
			if tended, err := q.Tend(ctx, store); err != nil || tended.Finished != 0 {
				t.Fatalf("%+v, %v: line 1 has neither a picture nor a dead letter", tended, err)
			}
		}
		if p, err := q.Progress(ctx, store, b); err != nil || p.Done != 1 || p.Failed != 1 || p.Queued != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		if list := tasks(t, q); len(list) != 1 || list[0] != -1 {
			t.Errorf("on the queue is %v, want a feed", list)
		}
		finish(t, store, b, 1)
		if err := q.Mark(ctx, b, Record{Index: 1, Status: Done}); err != nil {
			t.Fatal(err)
		}
		if tended, err := q.Tend(ctx, store); err != nil || tended.Finished != 1 {
			t.Errorf("%+v, %v: it is not marked as done", tended, err)
		}
	})
}

// beforePut does something before an object is put.
type beforePut struct {
	storage.Store
	name string
	do   func()
}

func (s *beforePut) Put(ctx context.Context, name string, data []byte) error {
	if name == s.name {
		s.do()
	}
	return s.Store.Put(ctx, name, data)
}
