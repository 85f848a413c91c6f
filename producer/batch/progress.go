package batch

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Counts is how far a batch is.
type Counts struct {
	Lines  int `json:"lines"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
}

// Open is how many lines have no record yet.
func (c Counts) Open() int { return c.Lines - c.Done - c.Failed }

// abandoned is for how long Redis keeps what it knows of lines on which nobody
// works, such as those that others took the place of.
const abandoned = 90 * 24 * time.Hour

// Mark notes in Redis that a line has its record. Noting it twice is no harm:
// progress is bitmaps with one bit a line, done, failed, and one for each class
// of failure. Only the rate is a count.
func (q *Queue) Mark(ctx context.Context, b Batch, r Record) error {
	return q.note(ctx, b, r.Index, ended{r.Status, r.Class})
}

// unmark takes back that a line has its record.
func (q *Queue) unmark(ctx context.Context, b Batch, index int) error {
	return q.note(ctx, b, index, ended{})
}

func (q *Queue) note(ctx context.Context, b Batch, index int, e ended) error {
	var failed *redis.IntCmd
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		failed = q.mark(ctx, p, b, index, e)
		q.keepFor(ctx, p, b, abandoned, e.class)
		if e.status == Done {
			slice := q.sliceKey(b, time.Now().Unix()/sliceSeconds)
			p.Incr(ctx, slice)
			p.Expire(ctx, slice, (rateSlices+1)*sliceSeconds*time.Second)
		}
		return nil
	})
	if err == nil && failed.Val() == 1 {
		err = q.unclass(ctx, b, e.class, index)
	}
	if err != nil {
		return fmt.Errorf("marking progress at %s: %w", q.where, err)
	}
	return nil
}

// ended is how a line ended: the zero value, not at all.
type ended struct {
	status Status
	class  string // of a failure
}

// mark sets a line's bit in one bitmap and clears it in the other; a line that
// hasn't ended has it in none. The answer is 1 where the line had failed
// before: then unclass is to follow.
func (q *Queue) mark(ctx context.Context, p redis.Pipeliner, b Batch, index int, e ended) (failed *redis.IntCmd) {
	for _, s := range []Status{Done, Failed} {
		bit := 0
		if s == e.status {
			bit = 1
		}
		failed = p.SetBit(ctx, q.bitmap(b, s), int64(index), bit)
	}
	if e.status == Failed {
		p.SAdd(ctx, q.classes(b), e.class)
		p.SetBit(ctx, q.classBitmap(b, e.class), int64(index), 1)
	}
	return failed
}

// keepFor has Redis keep a batch's bitmaps for a while, and no longer.
func (q *Queue) keepFor(ctx context.Context, p redis.Pipeliner, b Batch, while time.Duration, classes ...string) {
	for _, key := range []string{q.bitmap(b, Done), q.bitmap(b, Failed), q.classes(b)} {
		p.Expire(ctx, key, while)
	}
	for _, class := range classes {
		p.Expire(ctx, q.classBitmap(b, class), while)
	}
}

// unclass clears the bits of lines in the bitmaps of the classes of failure,
// but for one class.
func (q *Queue) unclass(ctx context.Context, b Batch, but string, indexes ...int) error {
	classes, err := q.redis.SMembers(ctx, q.classes(b)).Result()
	if err != nil {
		return err
	}
	_, err = q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, class := range classes {
			for _, index := range indexes {
				if class != but {
					p.SetBit(ctx, q.classBitmap(b, class), int64(index), 0)
				}
			}
		}
		return nil
	})
	return err
}

// failedByClass counts a batch's dead letters by their class.
func (q *Queue) failedByClass(ctx context.Context, b Batch) (map[string]int, error) {
	classes, err := q.redis.SMembers(ctx, q.classes(b)).Result()
	counts := map[string]int{}
	for _, class := range classes {
		var n int64
		if n, err = q.redis.BitCount(ctx, q.classBitmap(b, class), nil).Result(); err != nil {
			break
		}
		if n > 0 {
			counts[class] = int(n)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading progress at %s: %w", q.where, err)
	}
	return counts, nil
}

func (q *Queue) classes(b Batch) string { return q.key("classes", b.Name, b.short()) }

func (q *Queue) classBitmap(b Batch, class string) string {
	return q.key("class", b.Name, b.short(), class)
}

// Count reads how far a batch is, as far as Redis knows.
func (q *Queue) Count(ctx context.Context, b Batch) (Counts, error) {
	var done, failed *redis.IntCmd
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		done, failed = p.BitCount(ctx, q.bitmap(b, Done), nil), p.BitCount(ctx, q.bitmap(b, Failed), nil)
		return nil
	})
	if err != nil {
		return Counts{}, fmt.Errorf("reading progress at %s: %w", q.where, err)
	}
	return Counts{b.Lines, int(done.Val()), int(failed.Val())}, nil
}

func (q *Queue) bitmap(b Batch, s Status) string {
	return q.key("progress", b.Name, b.short(), string(s))
}

// Failed reads which lines failed, as far as Redis knows.
func (q *Queue) Failed(ctx context.Context, b Batch) (Bits, error) {
	text, err := q.redis.Get(ctx, q.bitmap(b, Failed)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading progress at %s: %w", q.where, err)
	}
	failed := NewBits(b.Lines)
	copy(failed, text)
	return failed, nil
}

// bitsOf reads a shard's part of a bitmap.
func (q *Queue) bitsOf(ctx context.Context, b Batch, shard int, s Status) (Bits, error) {
	first, end := b.shardRange(shard)
	text, err := q.redis.GetRange(ctx, q.bitmap(b, s), int64(first/8), int64((end-1)/8)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading progress at %s: %w", q.where, err)
	}
	part := NewBits(end - first)
	copy(part, text)
	return part, nil
}

// bits reads a shard's part of both bitmaps.
func (q *Queue) bits(ctx context.Context, b Batch, shard int) (done, failed Bits, err error) {
	if done, err = q.bitsOf(ctx, b, shard, Done); err == nil {
		failed, err = q.bitsOf(ctx, b, shard, Failed)
	}
	return done, failed, err
}

// setBits makes a shard's bits say what is wanted, where they don't.
func (q *Queue) setBits(ctx context.Context, b Batch, shard int, want func(i int) ended) error {
	done, failed, err := q.bits(ctx, b, shard)
	if err != nil {
		return err
	}
	first, end := b.shardRange(shard)
	var taken []int // that had failed
	var classes []string
	pipe := q.redis.Pipeline()
	flush := func() error {
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("rebuilding progress at %s: %w", q.where, err)
		}
		return nil
	}
	for i := range end - first {
		e := want(i)
		if done.Has(i) == (e.status == Done) && failed.Has(i) == (e.status == Failed) {
			continue
		}
		q.mark(ctx, pipe, b, first+i, e)
		switch {
		case e.status == Failed && !slices.Contains(classes, e.class):
			classes = append(classes, e.class)
		case e.status != Failed && failed.Has(i):
			taken = append(taken, first+i)
		}
		if pipe.Len() >= 1000 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	q.keepFor(ctx, pipe, b, abandoned, classes...)
	if err := flush(); err != nil || taken == nil {
		return err
	}
	if err := q.unclass(ctx, b, "", taken...); err != nil {
		return fmt.Errorf("rebuilding progress at %s: %w", q.where, err)
	}
	return nil
}

// Bits is a set of small numbers, one bit each, in the order of Redis: the
// first is the highest bit of the first byte.
type Bits []byte

// NewBits returns an empty set of numbers below n.
func NewBits(n int) Bits { return make(Bits, (n+7)/8) }

// Has tells whether i is in the set.
func (b Bits) Has(i int) bool { return b[i/8]&(0x80>>(i%8)) != 0 }

// Clear takes i out of the set.
func (b Bits) Clear(i int) { b[i/8] &^= 0x80 >> (i % 8) }

// Set puts i into the set and tells whether it is new there.
func (b Bits) Set(i int) bool {
	had := b.Has(i)
	b[i/8] |= 0x80 >> (i % 8)
	return !had
}

// Count is how many numbers are in the set.
func (b Bits) Count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
