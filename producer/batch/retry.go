package batch

import (
	"context"
	"iter"

	"github.com/darkroom/darkroom/storage"
)

// Retry takes back the dead letters of a batch that are wanted, all of them
// where want is nil, so that the next feed enqueues their lines again, with
// all their attempts. It returns how many there were. It reconciles first, and
// so finds those of which Redis knows nothing.
func Retry(ctx context.Context, store storage.Store, q *Queue, b Batch, want func(Record) bool) (taken int, err error) {
	found, err := Reconcile(ctx, store, q, b)
	if err != nil || found.Failed == 0 {
		return 0, err
	}
	for letter, err := range q.DeadLetters(ctx, store, b, NewBits(b.Lines)) {
		if err != nil {
			return taken, err
		}
		if want != nil && !want(letter.Record) {
			continue
		}
		// First its past: a line that is poison would be a dead letter again
		// at once.
		err := q.ForgetAttempts(ctx, b, letter.Line.Index)
		was := false
		if err == nil {
			was, err = Commit{store, b}.Retry(ctx, letter.Line)
		}
		if err == nil && was {
			taken++
			err = q.unmark(ctx, b, letter.Line.Index)
		}
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// DeadLetter is a line that failed, and what its record says of it.
type DeadLetter struct {
	Line   Line
	Record Record
}

// DeadLetters yields the lines that failed, as far as Redis knows, but for
// those in seen, and puts them there. Lines that no longer count as failed are
// taken out of seen.
func (q *Queue) DeadLetters(ctx context.Context, store storage.Store, b Batch, seen Bits) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for shard := range b.Shards() {
			failed, err := q.bitsOf(ctx, b, shard, Failed)
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			for letter, err := range b.deadLetters(ctx, store, shard, failed, seen) {
				if !yield(letter, err) || err != nil {
					return
				}
			}
		}
	}
}

// deadLetters yields those of one shard.
func (b Batch) deadLetters(ctx context.Context, store storage.Store, shard int, failed, seen Bits) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		var lines [][]byte
		first, end := b.shardRange(shard)
		for i := range end - first {
			if !failed.Has(i) {
				seen.Clear(first + i) // should it fail again, that is news
				continue
			}
			if !seen.Set(first + i) {
				continue
			}
			var letter DeadLetter
			var err error
			if lines == nil {
				lines, err = b.shard(ctx, store, shard)
			}
			if err == nil {
				letter.Line = decodeLine(first+i, lines[i])
				letter.Record, err = b.ReadRecord(ctx, store, letter.Line)
			}
			if isAbsent(err) || err == nil && letter.Record.Status != Failed {
				continue // it was taken back just now
			}
			if !yield(letter, err) || err != nil {
				return
			}
		}
	}
}
