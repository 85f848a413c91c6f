package metrics

import (
	"context"
	"errors"
	"iter"

	"github.com/darkroom/darkroom/storage"
)

// operations are a store's methods, as the labels have them.
var operations = []string{"get", "put", "put_if_absent", "delete", "list"}

// Store returns a store whose failing calls are counted. That an object is
// there or isn't, and that who calls has given up, is no failure.
func (m *Metrics) Store(store storage.Store) storage.Store { return countedStore{store, m} }

type countedStore struct {
	storage.Store
	metrics *Metrics
}

func (s countedStore) count(operation string, err error) error {
	if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrExists) && !errors.Is(err, context.Canceled) {
		s.metrics.storeErrors.WithLabelValues(operation).Inc()
	}
	return err
}

func (s countedStore) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := s.Store.Get(ctx, name)
	return data, s.count("get", err)
}

func (s countedStore) Put(ctx context.Context, name string, data []byte) error {
	return s.count("put", s.Store.Put(ctx, name, data))
}

func (s countedStore) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	return s.count("put_if_absent", s.Store.PutIfAbsent(ctx, name, data))
}

func (s countedStore) Delete(ctx context.Context, name string) error {
	return s.count("delete", s.Store.Delete(ctx, name))
}

func (s countedStore) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.Store.List(ctx, prefix) {
			if !yield(name, s.count("list", err)) {
				return
			}
		}
	}
}

// Top keeps the quick way that [storage.Top] has with some stores.
func (s countedStore) Top(ctx context.Context) ([]string, error) {
	top, err := storage.Top(ctx, s.Store)
	return top, s.count("list", err)
}
