package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithytime "github.com/aws/smithy-go/time"
)

// S3 is a store in a bucket of S3 or of a server that speaks its protocol and
// heeds If-None-Match on PutObject, below a prefix. Any number of processes
// may share it.
//
// A request that fails by the way or by the server's load is sent again, a few
// times within some seconds. So it can come that a put is done though its
// answer was lost. Each PutIfAbsent therefore leaves a word of its own in the
// object's metadata, by which it knows its own object again: also then, exactly
// one of all callers succeeds. Where a server keeps no metadata, none may: a
// caller that is told ErrExists must look at what is there, as it must where it
// crashed and comes again.
type S3 struct {
	client   *s3.Client
	bucket   string
	prefix   string // of keys: empty, or with a slash at its end
	endpoint string // empty: AWS's own

	word  string // how the words of this S3's puts begin
	count atomic.Uint64

	mu    sync.Mutex
	owner *os.File // its lock is held by Lock
}

// putWord is the key of a put's word in an object's metadata.
const putWord = "darkroom-put"

// newS3 is a store that hasn't been looked at yet.
func newS3(client *s3.Client, bucket, prefix string) *S3 {
	s := &S3{client: client, bucket: bucket, word: rand.Text() + "-"}
	if prefix != "" {
		s.prefix = prefix + "/"
	}
	if endpoint := client.Options().BaseEndpoint; endpoint != nil {
		s.endpoint = redacted(*endpoint)
	}
	return s
}

// String implements [Place].
func (s *S3) String() string {
	name := strings.TrimSuffix("s3://"+s.bucket+"/"+s.prefix, "/")
	if s.endpoint != "" {
		name += " at " + s.endpoint
	}
	return name
}

// Path implements [Place].
func (s *S3) Path(name string) string { return "s3://" + s.bucket + "/" + s.prefix + name }

// Lock implements [Place]: the lock is a file among this machine's temporary
// ones.
func (s *S3) Lock() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := ErrLocked
	if s.owner == nil {
		sum := sha256.Sum256([]byte(s.String()))
		var lock *os.File
		lock, err = os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("darkroom-%d-%x.lock", os.Getuid(), sum[:8])), os.O_RDWR|os.O_CREATE, 0o666)
		if err == nil {
			s.owner, err = takeLock(lock)
		}
	}
	if err != nil {
		return fmt.Errorf("locking %v: %w", s, err)
	}
	return nil
}

// Close implements [Place].
func (s *S3) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != nil {
		s.owner.Close()
	}
	s.owner = nil
	return nil
}

// Get implements [Store].
func (s *S3) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ready(ctx, name); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		data, cut, err := s.get(ctx, name)
		if err == nil {
			return data, nil
		}
		// The client tries again until an answer begins; one that breaks off
		// in the middle is left to us.
		if !cut || attempt == attempts || smithytime.SleepWithContext(ctx, backoff(attempt)) != nil {
			return nil, s.fault("reading", name, err)
		}
	}
}

// get is one try at an object; cut tells that the answer began and broke off.
func (s *S3) get(ctx context.Context, name string) (data []byte, cut bool, err error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if err != nil {
		return nil, false, err
	}
	defer out.Body.Close()
	switch size := out.ContentLength; {
	case size == nil: // it isn't said
		data, err = io.ReadAll(io.LimitReader(out.Body, mostBytes+1))
	case *size <= mostBytes:
		data = make([]byte, *size)
		_, err = io.ReadFull(out.Body, data)
	default:
		return nil, false, tooLarge(*size)
	}
	if size := int64(len(data)); size > mostBytes {
		return nil, false, tooLarge(size)
	}
	return data, err != nil, err
}

// Put implements [Store].
func (s *S3) Put(ctx context.Context, name string, data []byte) error {
	if err := mayPut(ctx, name, data); err != nil {
		return err
	}
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(name), Body: bytes.NewReader(data)})
	if err != nil {
		return s.fault("writing", name, err)
	}
	return nil
}

// PutIfAbsent implements [Store].
func (s *S3) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := mayPut(ctx, name, data); err != nil {
		return err
	}
	word := s.word + strconv.FormatUint(s.count.Add(1), 10)
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: s.key(name), Body: bytes.NewReader(data),
		IfNoneMatch: aws.String("*"), Metadata: map[string]string{putWord: word},
	})
	if statusOf(err) == http.StatusPreconditionFailed {
		err = ErrExists
		// Taken by an earlier try of this very put, perhaps.
		there, headErr := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(name)})
		switch {
		case headErr == nil && there.Metadata[putWord] == word:
			return nil
		case headErr != nil && statusOf(headErr) != http.StatusNotFound: // not found: deleted since
			err = headErr
		}
	}
	if err != nil {
		return s.fault("writing", name, err)
	}
	return nil
}

// Delete implements [Store].
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := ready(ctx, name); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if err != nil && !isNoKey(err) {
		return s.fault("deleting", name, err)
	}
	return nil
}

// List implements [Store]. It asks for a page of names at a time. Keys that
// are no names, such as the "folders" of some tools, are passed over.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, _, err := splitPrefix(prefix); err != nil {
			yield("", err)
			return
		}
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix)})
		last := ""
		for pages.HasMorePages() {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield("", s.fault("listing", prefix, err))
				return
			}
			for _, object := range page.Contents {
				name := strings.TrimPrefix(aws.ToString(object.Key), s.prefix)
				if CheckName(name) != nil {
					continue
				}
				if name <= last {
					yield("", fmt.Errorf("listing %s: %q comes after %q: the server doesn't list in byte order, as S3's general purpose buckets do", s.Path(prefix), name, last))
					return
				}
				if last = name; !yield(name, nil) {
					return
				}
			}
		}
	}
}

func (s *S3) key(name string) *string { return aws.String(s.prefix + name) }

// fault is the error of a call, with the object and without the client's own
// frame around it.
func (s *S3) fault(doing, name string, err error) error {
	return fmt.Errorf("%s %s: %w", doing, s.Path(name), plain(err))
}
