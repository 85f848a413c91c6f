package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// sweepAfter is for how long a lease must be over before its task is swept:
// asynq has had two turns by then to give it out again.
const sweepAfter = 3 * time.Minute

// sweepTask removes one task that asynq v0.26 has lost sight of, and tells
// whether it was one:
//   - its hash is in none of the queue's lists, and so blocks its id for ever,
//   - it is active without a lease, and so is never given out again, or
//   - its lease ended long ago: a message that can't be read keeps asynq from
//     looking at any lease of the server's queues.
//
// One script, so that nothing moves while it looks. KEYS: a task's hash, the
// active list, the leases, the pending list, and the sorted sets.
var sweepTask = redis.NewScript(`
local id, before = ARGV[1], tonumber(ARGV[2])
local active = redis.call("LPOS", KEYS[2], id)
if active then
	local lease = redis.call("ZSCORE", KEYS[3], id)
	if lease and tonumber(lease) > before then return 0 end
	redis.call("LREM", KEYS[2], 0, id)
else
	if redis.call("LPOS", KEYS[4], id) then return 0 end
	for i = 5, #KEYS do
		if redis.call("ZSCORE", KEYS[i], id) then return 0 end
	end
	if redis.call("EXISTS", KEYS[1]) == 0 and not redis.call("ZSCORE", KEYS[3], id) then return 0 end
end
redis.call("ZREM", KEYS[3], id)
redis.call("DEL", KEYS[1])
return 1`)

// Sweep removes the queue's tasks that asynq would never come to again, and
// returns how many there were. Their lines are fed again: see [Queue.Tend].
func (q *Queue) Sweep(ctx context.Context) (int, error) {
	suspects, err := q.suspects(ctx)
	if err != nil {
		return 0, fmt.Errorf("looking for lost tasks at %s: %w", q.where, err)
	}
	keys := []string{"", q.asynq("active"), q.asynq("lease"), q.asynq("pending"), q.asynq("scheduled"), q.asynq("retry"), q.asynq("archived"), q.asynq("completed")}
	swept := 0
	for id := range suspects {
		keys[0] = q.asynq("t:" + id)
		n, err := sweepTask.Run(ctx, q.redis, keys, id, time.Now().Add(-sweepAfter).Unix()).Int()
		if err != nil {
			return swept, fmt.Errorf("sweeping a lost task at %s: %w", q.where, err)
		}
		swept += n
	}
	return swept, nil
}

// suspects are the ids of tasks that seem lost. What moves meanwhile may be
// among them.
func (q *Queue) suspects(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	prefix := q.asynq("t:")
	node, err := q.node(ctx)
	if err != nil {
		return nil, err
	}
	hashes := node.Scan(ctx, 0, prefix+"*", 1000).Iterator()
	for hashes.Next(ctx) {
		found[strings.TrimPrefix(hashes.Val(), prefix)] = true
	}
	if err := hashes.Err(); err != nil {
		return nil, err
	}
	listed := func(ids []string, err error) error {
		for _, id := range ids {
			delete(found, id)
		}
		return err
	}
	if err := listed(q.redis.LRange(ctx, q.asynq("pending"), 0, -1).Result()); err != nil {
		return nil, err
	}
	for _, set := range []string{"scheduled", "retry", "archived", "completed"} {
		if err := listed(q.redis.ZRange(ctx, q.asynq(set), 0, -1).Result()); err != nil {
			return nil, err
		}
	}
	active, err := q.redis.LRange(ctx, q.asynq("active"), 0, -1).Result()
	if err != nil {
		return nil, err
	}
	for _, id := range active {
		lease, err := q.redis.ZScore(ctx, q.asynq("lease"), id).Result()
		switch {
		case err != nil && !errors.Is(err, redis.Nil):
			return nil, err
		case err == nil && time.Since(time.Unix(int64(lease), 0)) < sweepAfter:
			delete(found, id)
		default:
			found[id] = true
		}
	}
	return found, nil
}

// asynq is the name of one of asynq's keys of the queue.
func (q *Queue) asynq(part string) string { return "asynq:{" + q.name + "}:" + part }
