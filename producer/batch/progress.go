package batch

import (
	"context"
	"fmt"
	"math/bits"

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

// Mark notes in Redis that a line has its record. Noting it twice is no harm:
// progress is two bitmaps, done and failed, with one bit a line.
func (q *Queue) Mark(ctx context.Context, b Batch, index int, status Status) error {
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		q.mark(ctx, p, b, index, status)
		return nil
	})
	if err != nil {
		return fmt.Errorf("marking progress at %s: %w", q.where, err)
	}
	return nil
}

// mark sets a line's bit in one bitmap and clears it in the other; an empty
// status clears both.
func (q *Queue) mark(ctx context.Context, p redis.Pipeliner, b Batch, index int, status Status) {
	for _, s := range []Status{Done, Failed} {
		bit := 0
		if s == status {
			bit = 1
		}
		p.SetBit(ctx, q.bitmap(b, s), int64(index), bit)
	}
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

// setBits makes a shard's bits say what is wanted, where they don't.
func (q *Queue) setBits(ctx context.Context, b Batch, shard int, want func(i int) Status) error {
	done, err := q.bitsOf(ctx, b, shard, Done)
	if err != nil {
		return err
	}
	failed, err := q.bitsOf(ctx, b, shard, Failed)
	if err != nil {
		return err
	}
	first, end := b.shardRange(shard)
	pipe := q.redis.Pipeline()
	flush := func() error {
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("rebuilding progress at %s: %w", q.where, err)
		}
		return nil
	}
	for i := range end - first {
		status := want(i)
		if done.Has(i) == (status == Done) && failed.Has(i) == (status == Failed) {
			continue
		}
		q.mark(ctx, pipe, b, first+i, status)
		if pipe.Len() >= 1000 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Bits is a set of small numbers, one bit each, in the order of Redis: the
// first is the highest bit of the first byte.
type Bits []byte

// NewBits returns an empty set of numbers below n.
func NewBits(n int) Bits { return make(Bits, (n+7)/8) }

// Has tells whether i is in the set.
func (b Bits) Has(i int) bool { return b[i/8]&(0x80>>(i%8)) != 0 }

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
