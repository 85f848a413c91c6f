// Package storage keeps a batch: its manifest, its pictures and their records.
//
// A [Store] is a flat space of named objects. Names are slash-separated,
// relative and clean (no "..", no empty part). Folder and memory stores are
// here; one conformance suite, in storagetest, holds for every kind.
package storage

import (
	"context"
	"errors"
	"iter"
)

var (
	// ErrExists is returned by PutIfAbsent when the name is taken.
	ErrExists = errors.New("already there")
	// ErrNotFound is returned by Get when nothing has the name.
	ErrNotFound = errors.New("not found")
)

// Store keeps named objects. All methods may be called concurrently. An object
// appears whole or not at all, whatever is cut off when; once a put returned
// nil, the object outlives a crash. Stores don't retry for longer than a
// request's own time: who calls decides how long to go on.
type Store interface {
	// Get returns the object's bytes, which the caller may keep and change.
	Get(ctx context.Context, name string) ([]byte, error)
	// Put writes the object, in place of one that has the name.
	Put(ctx context.Context, name string, data []byte) error
	// PutIfAbsent writes the object unless the name is taken (ErrExists):
	// of any number of concurrent callers exactly one succeeds.
	PutIfAbsent(ctx context.Context, name string, data []byte) error
	// Delete removes the object; it is no error if it isn't there.
	Delete(ctx context.Context, name string) error
	// List yields the names that begin with prefix, in byte order, and ends
	// at the first error.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}
