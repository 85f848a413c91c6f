package batch

import (
	"context"
	"fmt"
	"iter"

	"github.com/darkroom/darkroom/storage"
)

// Found is how the store stands against the manifest.
type Found struct {
	Counts
	Recorded Bits     // the indexes of lines with a record
	Stale    []string // pictures and records of lines that are no longer in the manifest: the first 100
	Stales   int      // all of them
	Lost     []string // done records whose picture is gone: the first 100
	Losses   int      // all of them
}

const namedAtMost = 100

// Reconcile compares a batch's manifest with the store, and makes the queue's
// bitmaps say what the store says. A dead letter beside its picture gives way
// to a done record, and done.json goes where a line is open: somebody deleted
// its record. It enqueues nothing: where Open is not 0, a feed of the first
// shard does ([Queue.EnqueueFeed]), which leaves out what has a record or is on
// the queue.
func Reconcile(ctx context.Context, store storage.Store, q *Queue, b Batch) (Found, error) {
	found := Found{Counts: Counts{Lines: b.Lines}, Recorded: NewBits(b.Lines)}
	next, stop := iter.Pull2(b.objects(ctx, store, b.Name+"/"))
	defer stop()
	o, err, more := next()
	for shard := range b.Shards() {
		_, end := b.shardRange(shard)
		var objects []object
		for ; more && err == nil && o.index < end; o, err, more = next() {
			objects = append(objects, o)
		}
		if err != nil {
			return Found{}, err
		}
		if err := found.shard(ctx, store, q, b, shard, objects); err != nil {
			return Found{}, err
		}
	}
	for ; more && err == nil; o, err, more = next() {
		found.stale(o.name)
	}
	if err == nil && found.Open() > 0 {
		if err = store.Delete(ctx, b.DoneName()); err != nil {
			err = fmt.Errorf("opening batch %s again: %w", b.Name, err)
		}
	}
	return found, err
}

// shard takes account of one shard, whose objects are given.
func (f *Found) shard(ctx context.Context, store storage.Store, q *Queue, b Batch, shard int, objects []object) error {
	first, end := b.shardRange(shard)
	states := make([]ended, end-first)
	if len(objects) > 0 {
		if err := f.compare(ctx, store, q, b, shard, objects, states); err != nil {
			return err
		}
	}
	for i, s := range states {
		switch s.status {
		case Done:
			f.Done++
		case Failed:
			f.Failed++
		default:
			continue
		}
		f.Recorded.Set(first + i)
	}
	return q.setBits(ctx, b, shard, func(i int) ended { return states[i] })
}

// compare finds how each line of a shard ended.
func (f *Found) compare(ctx context.Context, store storage.Store, q *Queue, b Batch, shard int, objects []object, how []ended) error {
	first, _ := b.shardRange(shard)
	raw, err := b.shard(ctx, store, shard)
	if err != nil {
		return err
	}
	type state struct {
		line            Line
		record, picture bool
	}
	var states []*state // by index, as the objects are
	for _, o := range objects {
		if len(states) == 0 || states[len(states)-1].line.Index != o.index {
			states = append(states, &state{line: decodeLine(o.index, raw[o.index-first])})
		}
		s := states[len(states)-1]
		switch {
		case o.key != s.line.Key.Short():
			f.stale(o.name)
		case o.ext == "json":
			s.record = true
		case o.ext == Ext(s.line.Spec.Format):
			s.picture = true
		default:
			f.stale(o.name)
		}
	}
	// A done record is for ever: one that Redis knows of is not read again.
	known, err := q.bitsOf(ctx, b, shard, Done)
	if err != nil {
		return err
	}
	var ask []*state
	for _, s := range states {
		switch i := s.line.Index - first; {
		case !s.record: // its task commits a picture that is there
		case s.picture && known.Has(i):
			how[i] = ended{status: Done}
		default:
			ask = append(ask, s)
		}
	}
	lost := make([]bool, len(ask))
	err = parallel(ctx, 16, len(ask), func(ctx context.Context, i int) error {
		s := ask[i]
		record, err := Commit{store, b}.Start(ctx, s.line)
		if err != nil || record == nil {
			return err
		}
		how[s.line.Index-first] = ended{record.Status, record.Class}
		lost[i] = record.Status == Done && !s.picture
		return nil
	})
	for i, is := range lost {
		if is {
			f.lost(b.RecordName(ask[i].line))
		}
	}
	return err
}

func (f *Found) stale(name string) {
	if f.Stales++; len(f.Stale) < namedAtMost {
		f.Stale = append(f.Stale, name)
	}
}

func (f *Found) lost(name string) {
	if f.Losses++; len(f.Lost) < namedAtMost {
		f.Lost = append(f.Lost, name)
	}
}
