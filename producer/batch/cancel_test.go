package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// A mark that was written late, by who had the batch open before it got other
// lines, doesn't end the batch.
func TestMarksOfOtherLines(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		var store storage.Store = &storage.Memory{}
		older := newBatch(t, store, 2, 1000)
		b := newQueued(t, store, 2, 0)
		if err := errors.Join(older.Finish(ctx, store, Counts{Lines: 2, Done: 2}), Cancel(ctx, store, q, older)); err != nil {
			t.Fatal(err)
		}
		is := func(b Batch) [2]bool {
			t.Helper()
			finished, err := b.Finished(ctx, store)
			cancelled, err2 := b.Cancelled(ctx, store)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			return [2]bool{finished, cancelled}
		}
		if is(b) != [2]bool{} || is(older) != [2]bool{true, true} {
			t.Errorf("finished, cancelled: %v, of the older lines %v", is(b), is(older))
		}
		if tended, err := q.Tend(ctx, store); err != nil || tended.Open != 1 || tended.Fed != 1 {
			t.Errorf("%+v, %v: nobody looks after the batch", tended, err)
		}
		for _, mark := range []string{b.DoneName(), b.cancelledName()} {
			if err := store.Put(ctx, mark, []byte("{")); err != nil {
				t.Fatal(err)
			}
		}
		if is(b) != [2]bool{false, true} {
			t.Errorf("by marks that can't be read: %v, want that it is cancelled", is(b))
		}
		whole := store
		store = &spoiled{Store: whole, prefix: "b/"}
		if is(b) != [2]bool{false, true} {
			t.Errorf("by marks that the store finds damaged: %v, want that it is cancelled", is(b))
		}
		store = whole
		if err := b.Reopen(ctx, store); err != nil || is(b) != [2]bool{} {
			t.Errorf("opened again: %v, %v", is(b), err)
		}
	})
}

// A batch that is cancelled stays so until its new lines stand, wherever they
// are cut off.
func TestSaveCutOff(t *testing.T) {
	ctx := t.Context()
	q, err := OpenQueue(ctx, "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for calls := 0; ; calls++ {
		store := &storage.Memory{}
		older := newBatch(t, store, 2, 1000)
		if err := Cancel(ctx, store, q, older); err != nil {
			t.Fatal(err)
		}
		b := older
		b.Manifest = testModel.Digest
		saved := b.Save(ctx, &cutStore{Store: store, left: calls})
		there, err := Open(ctx, store, b.Name)
		if err != nil {
			t.Fatal(err)
		}
		cancelled, err := there.Cancelled(ctx, store)
		if err != nil || cancelled != (there == older) {
			t.Errorf("cut off after %d calls: cancelled %v, with the new lines %v, %v", calls, cancelled, there == b, err)
		}
		if saved == nil {
			if there != b || calls < 3 {
				t.Errorf("saved after %d calls: %+v", calls, there)
			}
			return
		}
	}
}

// The checkpoints of a batch that was cancelled, or is done, go; those of others
// stay, whatever they are named.
func TestCheckpointsGo(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newQueued(t, store, 1, 0)
		line := lineOf(t, store, b, 0)
		named := b.CheckpointName(line)
		other := Batch{Name: "b-2"}.CheckpointName(line)
		is := func(when string, want bool) {
			t.Helper()
			if _, err := q.Tend(ctx, store); err != nil {
				t.Fatal(err)
			}
			_, err := store.Get(ctx, named)
			_, others := store.Get(ctx, other)
			if (err == nil) != want || others != nil {
				t.Errorf("%s: %v, and the other batch's %v", when, err, others)
			}
		}
		for _, name := range []string{named, other} {
			if err := store.Put(ctx, name, nil); err != nil {
				t.Fatal(err)
			}
		}
		is("open", true)
		if err := Cancel(ctx, store, q, b); err != nil {
			t.Fatal(err)
		}
		is("cancelled", false)
		finish(t, store, b, 0)
		if err := errors.Join(b.Reopen(ctx, store), store.Put(ctx, named, nil), q.Mark(ctx, b, Record{Index: 0, Status: Done})); err != nil {
			t.Fatal(err)
		}
		is("done", false)
	})
}

// Consumers hear of a batch that is cancelled, and ask no more once it is
// opened again.
func TestHintOfCancel(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		store := &storage.Memory{}
		b := newBatch(t, store, 2, 0)
		other := Batch{Name: "other", Manifest: b.Manifest, Lines: 2}
		is := func(when string, store storage.Store, want bool) {
			t.Helper()
			cancelled, err := q.Cancelled(ctx, store, []Batch{other, b})
			if err != nil || want != (len(cancelled) == 1 && cancelled[0] == b) || !want && cancelled != nil {
				t.Errorf("%s: %v, %v", when, cancelled, err)
			}
		}
		is("before", store, false)
		for range 2 {
			if err := Cancel(ctx, store, q, b); err != nil {
				t.Fatal(err)
			}
			is("cancelled", store, true)
			is("and still", store, true)
			if err := b.Reopen(ctx, store); err != nil {
				t.Fatal(err)
			}
			is("opened again", store, false)
			is("and still", nil, false) // the store isn't asked
		}
		// Cancelled again between a look at the store and what follows from it.
		if err := Cancel(ctx, store, q, b); err != nil {
			t.Fatal(err)
		}
		if err := b.Reopen(ctx, store); err != nil {
			t.Fatal(err)
		}
		late := &afterGet{Store: store, do: func() {
			if err := Cancel(ctx, store, q, b); err != nil {
				t.Error(err)
			}
		}}
		is("when it was open", late, false)
		is("cancelled meanwhile", store, true)
	})
}

// afterGet does something between an object's reading and its reader.
type afterGet struct {
	storage.Store
	do func()
}

func (s *afterGet) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := s.Store.Get(ctx, name)
	s.do()
	return data, err
}

// spoiled is a store that finds what it has under a prefix damaged.
type spoiled struct {
	storage.Store
	prefix string
}

func (s *spoiled) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := s.Store.Get(ctx, name)
	if err == nil && strings.HasPrefix(name, s.prefix) {
		return nil, fmt.Errorf("reading %s: %w", name, storage.ErrDamaged)
	}
	return data, err
}

// A model whose object the store finds damaged is told of to who asks for it.
func TestCatalogueDamaged(t *testing.T) {
	memory := &storage.Memory{}
	for _, name := range []string{"cat", "dog"} {
		if err := PutModel(t.Context(), memory, job.Model{Name: name, Digest: testModel.Digest}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ReadCatalogue(t.Context(), &spoiled{memory, "models/dog@"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.Model("cat"); err != nil || m.Name != "cat" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := c.Model("dog"); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "models/dog@") {
		t.Errorf("%v, want what is damaged", err)
	}
}
