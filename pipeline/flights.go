package pipeline

import (
	"context"
	"errors"
	"math"
	"sync"
)

// flights keeps what is made once for each key. Who asks while it is being made
// waits for it, as long as its ctx lasts; what could not be made is tried again
// by the next who asks, and what was cut off with its maker by who waits.
type flights[K comparable, V any] struct {
	limit int // how many are kept, those last asked for; 0: all

	mu    sync.Mutex
	made  map[K]*flight[V]
	asked uint64
}

type flight[V any] struct {
	asked  uint64 // when last, by the flights' count
	done   chan struct{}
	value  V
	err    error
	cutOff bool // err may be the end of the maker's context
}

func (f *flights[K, V]) do(ctx context.Context, key K, produce func() (V, error)) (V, error) {
	for {
		one, mine := f.ask(key)
		if mine {
			f.make(ctx, key, one, produce)
			return one.value, one.err
		}
		select {
		case <-one.done:
			if !one.cutOff {
				return one.value, one.err
			}
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
}

// ask returns what is there for a key or being made, or a new flight that is
// the caller's to make.
func (f *flights[K, V]) ask(key K) (one *flight[V], mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	one, ok := f.made[key]
	if !ok {
		if f.made == nil {
			f.made = map[K]*flight[V]{}
		}
		if f.limit > 0 && len(f.made) >= f.limit {
			f.forget()
		}
		one = &flight[V]{done: make(chan struct{})}
		f.made[key] = one
	}
	one.asked = f.asked
	return one, !ok
}

// forget drops what was not asked for the longest.
func (f *flights[K, V]) forget() {
	var oldest K
	age := uint64(math.MaxUint64)
	for key, one := range f.made {
		if one.asked < age {
			oldest, age = key, one.asked
		}
	}
	delete(f.made, oldest)
}

func (f *flights[K, V]) make(ctx context.Context, key K, one *flight[V], produce func() (V, error)) {
	one.err = errors.New("a panic ended what was being made") // unless there is none
	defer func() {
		if one.err != nil {
			one.cutOff = ctx.Err() != nil
			f.mu.Lock()
			if f.made[key] == one {
				delete(f.made, key)
			}
			f.mu.Unlock()
		}
		close(one.done)
	}()
	one.value, one.err = produce()
}

// all calls f for everything that was made. Nobody may be making anything.
func (f *flights[K, V]) all(visit func(V)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.made {
		visit(one.value)
	}
}
