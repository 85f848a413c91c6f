// Package producer brings a batch file into the store: it reads, checks,
// resolves and expands the lines ([Read]), and puts the manifest and batch.json
// where consumers find them ([Manifest.Put]). Nothing is written to the store
// before every line is found to be well formed.
package producer

import (
	"context"
	"errors"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// Models says what must be known of models to check their jobs. It is asked
// once for each name that a batch holds, for several names at the same time. An
// error says, in a few words, what is wrong with the name, such as: unknown name
// `hause`, did you mean `house`?
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
	Queue    string // that consumers of the batch serve; empty: its render's own
	Folder   string // the batch file's, in which lines' pictures are looked for; empty: lines have none
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
	Queue    string // empty: its render's own

	spool  *spool
	inputs *inputs
}

// Close removes the temporary files.
func (m *Manifest) Close() error { return errors.Join(m.spool.close(), m.inputs.close()) }

// Put brings the manifest and its pictures into the store, and opens the batch:
// batch.json is written last. Cut off anywhere, it may be called again. A batch
// of the name that is there already is brought to these lines; pictures of lines
// that stand as they were, at the same index, are kept.
func (m *Manifest) Put(ctx context.Context, store storage.Store) (batch.Batch, error) {
	b := batch.Batch{Name: m.Name, Manifest: m.Digest, Lines: m.Lines, Seed: m.Seed, Darkroom: m.Darkroom, Queue: m.Queue}
	b, stands, err := b.Settle(ctx, store)
	if err != nil {
		return b, err
	}
	if err := m.putLines(ctx, store, b); err != nil {
		return b, err
	}
	if stands {
		return b, b.Reopen(ctx, store)
	}
	return b, b.Save(ctx, store)
}

// PutSchedule brings the manifest and its pictures into the store for all slots
// of a schedule, and saves the schedule, whose name, times and template are the
// caller's. Cut off anywhere, it may be called again. It returns what stands:
// see [batch.Schedule.Save].
func (m *Manifest) PutSchedule(ctx context.Context, store storage.Store, s batch.Schedule) (batch.Schedule, error) {
	s.Manifest, s.Lines, s.Seed, s.Darkroom, s.Queue = m.Digest, m.Lines, m.Seed, m.Darkroom, m.Queue
	if err := s.Check(); err != nil {
		return s, err
	}
	if err := m.putLines(ctx, store, s.Shared()); err != nil {
		return s, err
	}
	return s.Save(ctx, store)
}

// putLines puts the pictures and the shards.
func (m *Manifest) putLines(ctx context.Context, store storage.Store, b batch.Batch) error {
	if err := m.inputs.put(ctx, store); err != nil {
		return err
	}
	return b.PutManifest(ctx, store, m.spool.readShard)
}
