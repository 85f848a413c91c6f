package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Attempts are a line's attempts that failed so far. They are counted here and
// not by asynq, whose count goes up with each crash of a consumer as well.
type Attempts struct {
	Count  int      `json:"n"`
	Errors []string `json:"errors"` // of the last three, the last one last

	Alone   bool `json:"alone,omitempty"`   // the next one wants the device for itself: memory was short
	Crashes int  `json:"crashes,omitempty"` // of the process, while the job was alone in it
}

// Attempts reads a line's failed attempts; the zero value where there are none.
func (q *Queue) Attempts(ctx context.Context, b Batch, index int) (Attempts, error) {
	past, err := q.Past(ctx, b, index)
	return past.Attempts, err
}

// Begin notes that a line is being rendered, alone in its process or beside
// others, until [Queue.End].
func (q *Queue) Begin(ctx context.Context, b Batch, index int, alone bool) error {
	if err := q.keep(ctx, q.begun(b), index, alone); err != nil {
		return fmt.Errorf("noting at %s that line %d is begun: %w", q.where, index, err)
	}
	return nil
}

// End takes back what Begin noted.
func (q *Queue) End(ctx context.Context, b Batch, index int) error {
	if err := q.redis.HDel(ctx, q.begun(b), strconv.Itoa(index)).Err(); err != nil {
		return fmt.Errorf("noting at %s that line %d is over: %w", q.where, index, err)
	}
	return nil
}

// Past is what is known of a line's earlier attempts.
type Past struct {
	Attempts
	Crashed      bool // the last one was begun and never ended: its process died, as far as one knows
	CrashedAlone bool // and there was no other job in that process
}

// Past reads what is known of a line's earlier attempts.
func (q *Queue) Past(ctx context.Context, b Batch, index int) (p Past, err error) {
	field := strconv.Itoa(index)
	var attempts, begun *redis.StringCmd
	_, err = q.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		attempts, begun = pipe.HGet(ctx, q.attempts(b), field), pipe.HGet(ctx, q.begun(b), field)
		return nil
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	if data := attempts.Val(); err == nil && data != "" {
		err = json.Unmarshal([]byte(data), &p.Attempts)
	}
	if err != nil {
		return p, fmt.Errorf("reading the attempts of line %d at %s: %w", index, q.where, err)
	}
	p.Crashed, p.CrashedAlone = begun.Val() != "", begun.Val() == "1"
	return p, nil
}

func (q *Queue) begun(b Batch) string { return q.key("begun", b.Name, b.short()) }

// SetAttempts keeps a line's failed attempts.
func (q *Queue) SetAttempts(ctx context.Context, b Batch, index int, a Attempts) error {
	data, err := json.Marshal(a)
	if err == nil {
		err = q.keep(ctx, q.attempts(b), index, data)
	}
	if err != nil {
		return fmt.Errorf("counting an attempt of line %d at %s: %w", index, q.where, err)
	}
	return nil
}

// CountCrash keeps a line's attempts, with the crash in them that Past told of,
// and takes back what Begin noted: both or neither, lest it be counted twice by
// who comes after another crash.
func (q *Queue) CountCrash(ctx context.Context, b Batch, index int, a Attempts) error {
	data, err := json.Marshal(a)
	if err == nil {
		field := strconv.Itoa(index)
		_, err = q.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.HSet(ctx, q.attempts(b), field, data)
			p.Expire(ctx, q.attempts(b), abandoned)
			p.HDel(ctx, q.begun(b), field)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("counting a crash of line %d at %s: %w", index, q.where, err)
	}
	return nil
}

// keep puts what is known of a line into a hash.
func (q *Queue) keep(ctx context.Context, hash string, index int, value any) error {
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, hash, strconv.Itoa(index), value)
		p.Expire(ctx, hash, abandoned)
		return nil
	})
	return err
}

// ForgetAttempts forgets a line's past: it has its record, or begins anew.
func (q *Queue) ForgetAttempts(ctx context.Context, b Batch, index int) error {
	field := strconv.Itoa(index)
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, q.attempts(b), field)
		p.HDel(ctx, q.begun(b), field)
		return nil
	})
	if err != nil {
		return fmt.Errorf("forgetting the attempts of line %d at %s: %w", index, q.where, err)
	}
	return nil
}

func (q *Queue) attempts(b Batch) string { return q.key("attempts", b.Name, b.short()) }
