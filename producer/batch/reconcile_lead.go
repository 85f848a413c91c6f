package batch

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// leadFor is how long one who died keeps the others from leading.
const leadFor = time.Minute

// KEYS: who leads, and that somebody did so lately. ARGV: a token, and for how
// many milliseconds.
var (
	takeLead = redis.NewScript(`
if ARGV[3] == "1" and redis.call("EXISTS", KEYS[2]) == 1 then return 0 end
if redis.call("SET", KEYS[1], ARGV[1], "NX", "PX", ARGV[2]) then return 1 end
return 0`)
	renewLead = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 0`)
	endLead   = redis.NewScript(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then redis.call("SET", KEYS[2], "1", "PX", ARGV[2]) end
return redis.call("DEL", KEYS[1])`)
)

// Lead calls do, and tells so, unless somebody of the queue is within such a
// call, or began one less than every ago that wasn't cut off: of many who call
// it again and again, one does. A call whose every is 0 asks only for the
// first. do's context ends when the lead is lost, as after an outage of Redis;
// what two leaders do at a time does no harm, only work twice.
func (q *Queue) Lead(ctx context.Context, every time.Duration, do func(ctx context.Context) error) (bool, error) {
	keys, token := []string{q.key("lead"), q.key("led")}, rand.Text()
	begin := time.Now()
	ok, err := takeLead.Run(ctx, q.redis, keys, token, leadFor.Milliseconds(), every > 0).Bool()
	if err != nil {
		return false, fmt.Errorf("asking %s who leads: %w", q.where, err)
	}
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		tick := time.NewTicker(leadFor / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n, err := renewLead.Run(ctx, q.redis, keys, token, leadFor.Milliseconds()).Int()
				if err != nil || n == 0 {
					cancel()
				}
			}
		}
	}()
	err = do(ctx)
	rest := every - time.Since(begin)
	if ctx.Err() != nil { // cut off: somebody else is to do it
		rest = 0
	}
	cancel()
	<-renewed
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = endLead.Run(ending, q.redis, keys, token, rest.Milliseconds()).Err() // it expires otherwise
	return true, err
}
