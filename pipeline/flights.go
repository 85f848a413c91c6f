package pipeline

import (
	"context"
	"errors"
	"sync"
)

// flights keeps what is made once for each key. Who asks while it is being
// made waits for it, as long as its ctx lasts; what could not be made is tried again by the next who asks.
type flights[K comparable, V any] struct {
	mu   sync.Mutex
	made map[K]*flight[V]
}

type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func (f *flights[K, V]) do(ctx context.Context, key K, produce func() (V, error)) (V, error) {
	f.mu.Lock()
	if f.made == nil {
		f.made = map[K]*flight[V]{}
	}
	one, ok := f.made[key]
	if !ok {
		one = &flight[V]{done: make(chan struct{})}
		f.made[key] = one
	}
	f.mu.Unlock()
	if ok {
		select {
		case <-one.done:
			return one.value, one.err
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
	defer close(one.done)
	one.err = errors.New("a panic ended what was being made") // unless there is none
	defer func() {
		if one.err != nil {
			f.mu.Lock()
			delete(f.made, key)
			f.mu.Unlock()
		}
	}()
	one.value, one.err = produce()
	return one.value, one.err
}

// all calls f for everything that was made. Nobody may be making anything.
func (f *flights[K, V]) all(visit func(V)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.made {
		visit(one.value)
	}
}
