package batch

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Of those who call every so often one leads, once in that time; who asks for
// it at once, leads at once, but not beside another.
func TestLead(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx := t.Context()
		const every = time.Hour
		lead := func(when string, every time.Duration, want bool, do func(context.Context) error) {
			t.Helper()
			done := false
			led, err := q.Lead(ctx, every, func(ctx context.Context) error {
				done = true
				return do(ctx)
			})
			if led != want || done != want || err != nil && !errors.Is(err, errCut) {
				t.Errorf("%s: led %v, did %v, %v", when, led, done, err)
			}
		}
		nothing := func(context.Context) error { return nil }
		lead("at once", 0, true, nothing)
		lead("somebody led at once", every, true, func(context.Context) error {
			lead("beside another", every, false, nothing)
			lead("at once beside another", 0, false, nothing)
			return nil
		})
		if left, err := q.redis.PTTL(ctx, q.key("led")).Result(); err != nil || left <= 0 || left > every {
			t.Errorf("the next one leads in %v, %v; want %v from the last one's begin", left, err, every)
		}
		lead("somebody led", every, false, nothing)
		lead("at once, though somebody led", 0, true, nothing)
		lead("somebody led, and at once", every, false, nothing)

		forget := func() {
			t.Helper()
			if err := q.redis.Del(ctx, q.key("led")).Err(); err != nil {
				t.Fatal(err)
			}
		}
		forget()
		lead("time has gone by", every, true, func(context.Context) error { return errCut })
		lead("the last one found something wrong", every, false, nothing)
		forget()
		cut, cancel := context.WithCancel(ctx)
		if led, err := q.Lead(cut, every, func(context.Context) error { cancel(); return errCut }); !led || !errors.Is(err, errCut) {
			t.Errorf("%v, %v", led, err)
		}
		lead("the last one was cut off", every, true, nothing)
	})
}
