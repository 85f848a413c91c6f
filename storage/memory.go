package storage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory is a store that lives as long as the process. Its zero value is
// empty and ready to use.
type Memory struct {
	mu      sync.RWMutex
	objects map[string][]byte
}

var _ Store = (*Memory)(nil)

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ready(ctx, name); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	data, ok := m.objects[name]
	if !ok {
		return nil, fmt.Errorf("reading %s: %w", name, ErrNotFound)
	}
	return slices.Clone(data), nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, name string, data []byte) error {
	return m.put(ctx, name, data, true)
}

// PutIfAbsent implements [Store].
func (m *Memory) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	return m.put(ctx, name, data, false)
}

func (m *Memory) put(ctx context.Context, name string, data []byte, replace bool) error {
	if err := mayPut(ctx, name, data); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken && !replace {
		return fmt.Errorf("writing %s: %w", name, ErrExists)
	}
	if m.objects == nil {
		m.objects = make(map[string][]byte)
	}
	m.objects[name] = append([]byte{}, data...)
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := ready(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

// List implements [Store]: it yields what there was when it was first asked.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, _, err := splitPrefix(prefix); err != nil {
			yield("", err)
			return
		}
		m.mu.RLock()
		var names []string
		for name := range m.objects {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
		m.mu.RUnlock()
		slices.Sort(names)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// ready says why a call must not begin: its name is bad or its context done.
func ready(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

// mayPut says why a put must not begin.
func mayPut(ctx context.Context, name string, data []byte) error {
	if size := int64(len(data)); size > mostBytes {
		return fmt.Errorf("writing %s: %d bytes, and an object has at most %d", name, size, mostBytes)
	}
	return ready(ctx, name)
}
