// Package storage keeps a batch: its manifest, its pictures and their records.
//
// A [Store] is a flat space of named objects: a [Folder], [S3] or [Memory]. One
// conformance suite, in storagetest, holds for every kind. [OpenURL] opens what
// a command names.
package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

var (
	// ErrExists is returned by PutIfAbsent when the name is taken.
	ErrExists = errors.New("already there")
	// ErrNotFound is returned by Get when nothing has the name.
	ErrNotFound = errors.New("not found")
	// ErrDamaged is returned by Get when what has the name is none that a put
	// left there: larger than any object, or no file at all.
	ErrDamaged = errors.New("damaged")
)

// mostBytes is how large an object may be, which is held in memory whole: more
// than a picture of the most pixels, or a manifest's shard with long prompts. A
// variable for the tests.
var mostBytes int64 = 1 << 30

// Store keeps named objects. All methods may be called concurrently. An object
// appears whole or not at all, whatever is cut off when; once a put returned
// nil, the object outlives a crash. Stores don't retry for longer than a
// request's own time: who calls decides how long to go on. A context that is
// done before the call begins leaves everything as it was. After an error of a
// put or a delete, save ErrExists, it may have been done all the same.
// [Hopeless] tells errors that pass from those that somebody has to mend.
//
// Names obey [CheckName], and none is another's folder ("a" beside "a/b").
type Store interface {
	// Get returns the object's bytes, which the caller may keep and change.
	// What is larger than an object may be is not read (ErrDamaged).
	Get(ctx context.Context, name string) ([]byte, error)
	// Put writes the object, in place of one that has the name. The store
	// keeps no reference to data.
	Put(ctx context.Context, name string, data []byte) error
	// PutIfAbsent writes the object unless the name is taken (ErrExists):
	// of any number of concurrent callers exactly one succeeds.
	PutIfAbsent(ctx context.Context, name string, data []byte) error
	// Delete removes the object; it is no error if it isn't there.
	Delete(ctx context.Context, name string) error
	// List yields the names that begin with prefix, in byte order, and ends
	// at the first error. An object that comes or goes meanwhile may be
	// yielded or not; all others are, once each.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// private is the folder of a store's own files; no object lies in it.
const private = ".darkroom"

// CheckName says what is wrong with an object's name. A name is relative,
// slash-separated and clean: UTF-8 of at most 900 bytes with no empty part, no
// "." or "..", no part above 255 bytes, no backslash, colon or control
// character, and outside of the store's own folder, ".darkroom".
func CheckName(name string) error {
	fault := func(why string) error { return fmt.Errorf("object name %q: %s", name, why) }
	switch {
	case name == "":
		return fault("is empty")
	case name[0] == '/':
		return fault("must be relative")
	case len(name) > 900:
		return fault("is longer than 900 bytes")
	case !utf8.ValidString(name):
		return fault("is not UTF-8")
	case name == private || strings.HasPrefix(name, private+"/"):
		return fault(private + " is the store's own")
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == '\\' || r == ':' {
			return fault(fmt.Sprintf("must not hold %q", r))
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return fault("has an empty part")
		case part == "." || part == "..":
			return fault(fmt.Sprintf("must not hold the part %q", part))
		case len(part) > 255:
			return fault("has a part longer than 255 bytes")
		}
	}
	return nil
}

// splitPrefix cuts a prefix behind its last slash, and checks the folder that
// is named before it.
func splitPrefix(prefix string) (folder, rest string, err error) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", prefix, nil
	}
	return prefix[:i], prefix[i+1:], CheckName(prefix[:i])
}

// tooLarge is the error of Get for so many bytes.
func tooLarge(size int64) error {
	return fmt.Errorf("%w (%d bytes, and an object has at most %d)", ErrDamaged, size, mostBytes)
}
