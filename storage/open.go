package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Place is a store with what a command needs besides: what to call it and its
// objects, a lock, and an end.
type Place interface {
	Store
	// String names the store in messages: a folder's path, or an s3:// URL
	// and the server where it isn't AWS's.
	String() string
	// Path is where an object is or would be: a file's path or an s3:// URL.
	Path(name string) string
	// Lock takes the store for one render, until Close: a second Lock returns
	// ErrLocked. It is advisory, and keeps out renders of this machine; those
	// of other machines only where they share a folder with locks.
	Lock() error
	// Close gives up the store and its lock. It may be called more than once.
	Close() error
}

var (
	_ Place = (*Folder)(nil)
	_ Place = (*S3)(nil)
)

// ErrLocked is returned by Lock when another has the store.
var ErrLocked = errors.New("another render has it")

// OpenURL opens the store that a URL names: s3://bucket or s3://bucket/prefix,
// and without a scheme a folder.
func OpenURL(ctx context.Context, url string) (Place, error) {
	if err := CheckURL(url); err != nil {
		return nil, err
	}
	if isURL(url) {
		bucket, prefix, _ := parseS3(url)
		return place(OpenS3(ctx, bucket, prefix))
	}
	return place(Open(url))
}

// place keeps a nil pointer from becoming a Place that is not nil.
func place[P Place](p P, err error) (Place, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// CheckURL says what is wrong with a store's URL, before anything is opened.
func CheckURL(url string) error {
	switch {
	case url == "":
		return errors.New("a store's name is empty: want a folder or s3://bucket/prefix")
	case !isURL(url):
		return nil
	}
	_, _, err := parseS3(url)
	return err
}

func isURL(url string) bool { return strings.Contains(url, "://") }

// parseS3 takes an s3:// URL apart. Nothing in it is escaped.
func parseS3(url string) (bucket, prefix string, err error) {
	scheme, rest, _ := strings.Cut(url, "://")
	if scheme != "s3" {
		return "", "", fmt.Errorf("store %s://...: unknown scheme %q, want a folder or s3://bucket/prefix", scheme, scheme)
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	if strings.Contains(bucket, "@") { // not repeated: a secret may be in it
		return "", "", errors.New("store s3://...: credentials have no place in the URL; they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or wherever AWS's tools find them")
	}
	odd := strings.Trim(bucket, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")
	if len(bucket) < 3 || len(bucket) > 63 || odd != "" {
		return "", "", fmt.Errorf("store %s: bucket name %q: want 3 to 63 of a-z 0-9 . -", url, bucket)
	}
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return bucket, "", nil
	}
	if err := CheckName(prefix); err != nil {
		return "", "", fmt.Errorf("store %s: its prefix as an %w", url, err)
	}
	if len(prefix) > maxPrefix {
		return "", "", fmt.Errorf("store %s: its prefix is longer than %d bytes", url, maxPrefix)
	}
	return bucket, prefix, nil
}

// maxPrefix leaves room for an object's name in a key, which S3 limits to
// 1024 bytes.
const maxPrefix = 1024 - 900 - 1
