package storage_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/storage"
)

// An object of the most bytes goes there and back; a larger one is not taken,
// and one that somebody else put there is not read into memory.
func TestMostBytes(t *testing.T) {
	const most = 1000
	for name, start := range map[string]func(t *testing.T) storage.Store{
		"memory": func(t *testing.T) storage.Store { return &storage.Memory{} },
		"folder": func(t *testing.T) storage.Store { return open(t, t.TempDir()) },
		"s3":     func(t *testing.T) storage.Store { return openURL(t, startS3(t).URL("p")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			if name != "memory" { // where there is nobody else
				if err := s.Put(t.Context(), "theirs", make([]byte, most+1)); err != nil {
					t.Fatal(err)
				}
			}
			defer storage.SetMostBytes(most)()
			whole := bytes.Repeat([]byte{1}, most)
			if err := s.Put(t.Context(), "ours", whole); err != nil {
				t.Fatal(err)
			}
			if data, err := s.Get(t.Context(), "ours"); err != nil || !bytes.Equal(data, whole) {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			larger := make([]byte, most+1)
			for call, err := range map[string]error{
				"Put": s.Put(t.Context(), "larger", larger), "PutIfAbsent": s.PutIfAbsent(t.Context(), "larger", larger),
			} {
				if err == nil || !strings.Contains(err.Error(), "larger: 1001 bytes, and an object has at most 1000") {
					t.Errorf("%s of too much = %v", call, err)
				}
			}
			if _, err := s.Get(t.Context(), "theirs"); name != "memory" &&
				(!errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "theirs: damaged (1001 bytes, and an object has at most 1000)")) {
				t.Errorf("Get of too much = %v", err)
			}
		})
	}
}

// Nor is one whose server doesn't say how large it is.
func TestMostBytesUnsaid(t *testing.T) {
	p, s := startProxied(t)
	if err := s.Put(t.Context(), "theirs", make([]byte, 1001)); err != nil {
		t.Fatal(err)
	}
	p.make(func(*http.Request) trouble { return unsized })
	if data, err := s.Get(t.Context(), "theirs"); err != nil || len(data) != 1001 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	defer storage.SetMostBytes(1000)()
	if _, err := s.Get(t.Context(), "theirs"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("Get of too much = %v", err)
	}
}
