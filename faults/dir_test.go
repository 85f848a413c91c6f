//go:build unix

package faults

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/darkroom/darkroom/storage"
)

// dirStore reads the files that objects are, of a folder or a bucket, and
// leaves no trace there.
type dirStore struct{ dir string }

func (s *dirStore) Get(_ context.Context, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%s: %w", name, storage.ErrNotFound)
	}
	return data, err
}

func (*dirStore) Put(context.Context, string, []byte) error         { panic("it is for reading") }
func (*dirStore) PutIfAbsent(context.Context, string, []byte) error { panic("it is for reading") }
func (*dirStore) Delete(context.Context, string) error              { panic("it is for reading") }
func (*dirStore) List(context.Context, string) iter.Seq2[string, error] {
	panic("it is for reading")
}
