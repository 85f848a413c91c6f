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
}

// Attempts reads a line's failed attempts; the zero value where there are none.
func (q *Queue) Attempts(ctx context.Context, b Batch, index int) (a Attempts, err error) {
	data, err := q.redis.HGet(ctx, q.attempts(b), strconv.Itoa(index)).Bytes()
	if errors.Is(err, redis.Nil) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("reading the attempts of line %d at %s: %w", index, q.where, err)
	}
	return a, nil
}

// SetAttempts keeps a line's failed attempts.
func (q *Queue) SetAttempts(ctx context.Context, b Batch, index int, a Attempts) error {
	data, err := json.Marshal(a)
	if err == nil {
		err = q.redis.HSet(ctx, q.attempts(b), strconv.Itoa(index), data).Err()
	}
	if err != nil {
		return fmt.Errorf("counting an attempt of line %d at %s: %w", index, q.where, err)
	}
	return nil
}

// ForgetAttempts is for a line that has its record.
func (q *Queue) ForgetAttempts(ctx context.Context, b Batch, index int) error {
	if err := q.redis.HDel(ctx, q.attempts(b), strconv.Itoa(index)).Err(); err != nil {
		return fmt.Errorf("forgetting the attempts of line %d at %s: %w", index, q.where, err)
	}
	return nil
}

func (q *Queue) attempts(b Batch) string { return q.key("attempts", b.Name, b.short()) }
