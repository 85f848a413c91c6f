package batch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// Settle returns a batch that is to be opened, with the folders of the one of
// its name, and tells whether it stands like that already.
func (b Batch) Settle(ctx context.Context, store storage.Store) (settled Batch, stands bool, err error) {
	there, err := Open(ctx, store, b.Name)
	switch {
	case err == nil:
		b.Folders = there.Folders
	case isAbsent(err):
		b.Folders = b.Shards() > 1
	default:
		return b, false, err
	}
	return b, b == there, nil
}

// PutManifest puts the shards of the manifest, which shard reads, where they
// aren't. What is there, under the digest's name, it holds against them:
// somebody may have had a hand in it.
func (b Batch) PutManifest(ctx context.Context, store storage.Store, shard func(i int) ([]byte, error)) error {
	for i := range b.Shards() {
		data, err := shard(i)
		if err == nil {
			err = putShard(ctx, store, b.ShardName(i), data)
		}
		if err != nil {
			return fmt.Errorf("putting the manifest of batch %s: %w", b.Name, err)
		}
	}
	return nil
}

func putShard(ctx context.Context, store storage.Store, name string, data []byte) error {
	// Asked first: a second run sends nothing that is there.
	there, err := store.Get(ctx, name)
	if isAbsent(err) {
		if err = store.PutIfAbsent(ctx, name, data); !errors.Is(err, storage.ErrExists) {
			return err
		}
		there, err = store.Get(ctx, name)
	}
	if err == nil && !bytes.Equal(there, data) {
		err = fmt.Errorf("%s is not what its digest says: delete it, and it is put there anew", name)
	}
	return err
}

// shard reads one shard of the manifest: its lines, undecoded.
func (b Batch) shard(ctx context.Context, store storage.Store, shard int) ([][]byte, error) {
	data, err := store.Get(ctx, b.ShardName(shard))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of batch %s: %w", b.Name, err)
	}
	first, end := b.shardRange(shard)
	lines := make([][]byte, 0, end-first)
	for line := range bytes.Lines(data) {
		lines = append(lines, bytes.TrimSuffix(line, []byte{'\n'}))
	}
	if len(lines) != end-first {
		return nil, fmt.Errorf("reading the manifest of batch %s: %s has %d lines, want %d", b.Name, b.ShardName(shard), len(lines), end-first)
	}
	return lines, nil
}

// decodeLine reads a line of a manifest or a task. One that can't be read has
// the digest of its bytes in place of a key, so that it has a name in the
// store, too.
func decodeLine(index int, data []byte) Line {
	spec, faults := job.Decode(data)
	if faults != nil {
		return Line{Index: index, Key: sha256.Sum256(data), Fault: fmt.Errorf("line %d of the manifest can't be read: %w", index, faults)}
	}
	return Line{Index: index, Key: spec.Key(), Spec: spec}
}
