// Package producer brings a batch file into the store: it reads, checks,
// resolves and expands the lines ([Read]), and puts the manifest and batch.json
// where consumers find them ([Manifest.Put]). Nothing is written to the store
// before every line is found to be well formed.
package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// Models says what must be known of models to check their jobs. It is asked
// once for each name that a batch holds. An error says, in a few words, what
// is wrong with the name, such as: unknown name `hause`, did you mean `house`?
type Models interface {
	Model(ref string) (job.Model, error)
}

// Config says how a batch file is read.
type Config struct {
	Name     string // the batch's; see [batch.CheckName]
	Source   string // the batch file's name, for messages
	Seed     uint64 // of the batch: a line without a seed has this plus its index
	Darkroom string // the version that goes into batch.json
	Models   Models
	TempDir  string // where the manifest lies until it is in the store; empty: os.TempDir
}

// Manifest is a batch whose lines are all checked. It lies in a temporary
// file, until Close.
type Manifest struct {
	Name     string
	Digest   string // SHA-256 over the shards, 64 hex digits
	Lines    int    // after expansion
	Seed     uint64
	Darkroom string

	spool *spool
}

// Close removes the temporary file.
func (m *Manifest) Close() error { return m.spool.close() }

// Put brings the manifest into the store, and opens the batch: batch.json is
// written last. Cut off anywhere, it may be called again. A batch of the name
// that is there already is brought to these lines; pictures of lines that
// stand as they were, at the same index, are kept.
func (m *Manifest) Put(ctx context.Context, store storage.Store) (batch.Batch, error) {
	b := batch.Batch{Name: m.Name, Manifest: m.Digest, Lines: m.Lines, Seed: m.Seed, Darkroom: m.Darkroom}
	there, err := batch.Open(ctx, store, m.Name)
	switch {
	case err == nil:
		b.Folders = there.Folders
	case errors.Is(err, storage.ErrNotFound):
		b.Folders = b.Shards() > 1
	default:
		return b, err
	}
	for shard := range b.Shards() {
		if err := m.putShard(ctx, store, b, shard); err != nil {
			return b, fmt.Errorf("putting the manifest: %w", err)
		}
	}
	if b == there {
		return b, b.Reopen(ctx, store)
	}
	return b, b.Save(ctx, store)
}

// putShard puts a shard where it isn't, and holds what is there, under the
// digest's name, against it: somebody may have had a hand in it.
func (m *Manifest) putShard(ctx context.Context, store storage.Store, b batch.Batch, shard int) error {
	data, err := m.spool.readShard(shard)
	if err != nil {
		return err
	}
	name := b.ShardName(shard)
	err = store.PutIfAbsent(ctx, name, data)
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	there, err := store.Get(ctx, name)
	if err == nil && !bytes.Equal(there, data) {
		err = fmt.Errorf("%s is not what its digest says: delete it, and it is put there anew", name)
	}
	return err
}
