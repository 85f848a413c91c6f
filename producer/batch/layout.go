// Package batch is what a batch is in the store and on the queue.
//
// In the store a batch is its manifest, its pictures and their records; see
// [Batch] for the names. [Commit] is the protocol that puts a picture and its
// record there exactly once, however many consumers try. On the queue a batch
// is tasks, a window of them at a time ([Queue.Feed]), and a bitmap that counts
// what is done. The store is the truth: [Reconcile] finds all else again.
package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

const (
	// ShardLines is how many lines a shard of the manifest holds; the last
	// one may hold less. It is a multiple of 8, so that a shard's bits begin
	// at a byte of the progress bitmap.
	ShardLines = 10_000
	// MaxLines is how many lines a batch may have: indexes have 8 digits.
	MaxLines = 100_000_000
)

// Batch is what batch.json says: which manifest stands, and how large it is.
// Its objects are named
//
//	<name>/batch.json
//	<name>/manifest/<digest>/00000.jsonl
//	<name>/00000017-0123456789ab.png    the picture of line 17
//	<name>/00000017-0123456789ab.json   its record
//	<name>/cancelled.json, <name>/done.json
//	checkpoints/<name>@00000017-0123456789ab   of a line that is to go on elsewhere
//
// and with Folders, pictures and records of shard 3 lie in <name>/00003/.
type Batch struct {
	Name     string `json:"-"`
	Manifest string `json:"manifest"`        // SHA-256 over the shards, 64 hex digits
	Lines    int    `json:"lines"`           // after expansion
	Seed     uint64 `json:"seed"`            // of the batch; a line without a seed has this plus its index
	Folders  bool   `json:"folders"`         // a folder per shard; stays as it was when the batch was first opened, so that pictures keep their names
	Darkroom string `json:"darkroom"`        // the version that wrote it
	Queue    string `json:"queue,omitempty"` // whose consumers work on it and look after it; empty: a render does, in one process
}

// CheckName says what is wrong with a batch's name.
func CheckName(name string) error {
	if !wellFormed(name) || reserved[name] {
		return fmt.Errorf("batch name %q: want 1 to 100 of A-Z a-z 0-9 . _ -, no dot in front, and none of inputs, checkpoints, models and schedules", name)
	}
	return nil
}

// wellFormed tells whether a name is fit for a batch or a queue.
func wellFormed(name string) bool {
	ok := len(name) >= 1 && len(name) <= 100 && name[0] != '.'
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	return ok
}

// reserved are the store's other folders.
var reserved = map[string]bool{"inputs": true, "checkpoints": true, "models": true, "schedules": true}

// Open reads batch.json. The error is [storage.ErrNotFound] where there is no
// batch of that name.
func Open(ctx context.Context, store storage.Store, name string) (Batch, error) {
	if err := CheckName(name); err != nil {
		return Batch{}, err
	}
	b := Batch{Name: name}
	data, err := store.Get(ctx, b.file())
	if err != nil {
		return Batch{}, fmt.Errorf("opening batch %s: %w", name, err)
	}
	err = json.Unmarshal(data, &b)
	if err == nil && (len(b.Manifest) != 64 || b.Lines < 1 || b.Lines > MaxLines) {
		err = errors.New("it names no manifest")
	}
	if err != nil {
		return Batch{}, fmt.Errorf("opening batch %s: %w", name, damaged(b.file(), err, "and run again: it is written anew"))
	}
	return b, nil
}

// Reopen takes back the marks of an earlier end: done and cancelled.
func (b Batch) Reopen(ctx context.Context, store storage.Store) error {
	for _, mark := range []string{b.DoneName(), b.cancelledName()} {
		if err := store.Delete(ctx, mark); err != nil {
			return fmt.Errorf("opening batch %s again: %w", b.Name, err)
		}
	}
	return nil
}

// Save writes batch.json, which opens the batch: its manifest must be in the
// store. From now on tasks of another manifest of this batch are dropped. The
// marks of an earlier end go last: cut off before, what was cancelled stays so.
func (b Batch) Save(ctx context.Context, store storage.Store) error {
	data, err := json.Marshal(b)
	if err == nil {
		err = store.Put(ctx, b.file(), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("saving batch %s: %w", b.Name, err)
	}
	return b.Reopen(ctx, store)
}

// Finish writes done.json: every line has its record. Where the batch is on a
// queue, [Queue.Finish] does.
func (b Batch) Finish(ctx context.Context, store storage.Store, c Counts) error {
	return b.finish(ctx, store, ending{Manifest: b.Manifest, Counts: c})
}

func (b Batch) finish(ctx context.Context, store storage.Store, e ending) error {
	// Of lines that the batch no longer has, before the mark: nobody comes here behind it.
	if err := b.dropCheckpoints(ctx, store); err != nil {
		return err
	}
	data, err := json.Marshal(e)
	if err == nil {
		err = store.Put(ctx, b.DoneName(), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("marking batch %s as done: %w", b.Name, err)
	}
	return nil
}

func (b Batch) file() string { return b.Name + "/batch.json" }

// DoneName is the mark that every line has its record.
func (b Batch) DoneName() string { return b.Name + "/done.json" }

// cancelledName is the mark that no line is to be begun any more.
func (b Batch) cancelledName() string { return b.Name + "/cancelled.json" }

// Shards is the number of the manifest's shards.
func (b Batch) Shards() int { return (b.Lines + ShardLines - 1) / ShardLines }

// ShardName is the name of a manifest's shard.
func (b Batch) ShardName(shard int) string {
	return fmt.Sprintf("%s/manifest/%s/%05d.jsonl", b.Name, b.Manifest, shard)
}

// shardRange is a shard's first index and the one behind its last.
func (b Batch) shardRange(shard int) (first, end int) {
	return shard * ShardLines, min((shard+1)*ShardLines, b.Lines)
}

// short is enough of the manifest's digest to tell it from the batch's others.
func (b Batch) short() string { return b.Manifest[:12] }

// Line is one job of a batch.
type Line struct {
	Index int // 0-based, after expansion
	Key   job.Key
	Spec  job.Spec // resolved
	Fault error    // why this program can't read the line; nil, but where another version or a broken disk wrote it
}

// PictureName is the name of a line's picture.
func (b Batch) PictureName(l Line) string { return b.stem(l) + "." + Ext(l.Spec.Format) }

// RecordName is the name of a line's record.
func (b Batch) RecordName(l Line) string { return b.stem(l) + ".json" }

func (b Batch) stem(l Line) string {
	if b.Folders {
		return fmt.Sprintf("%s/%05d/%08d-%s", b.Name, l.Index/ShardLines, l.Index, l.Key.Short())
	}
	return fmt.Sprintf("%s/%08d-%s", b.Name, l.Index, l.Key.Short())
}

// CheckpointName is the name of a line's checkpoint. It lies beside those of
// other batches: whoever looks at the pictures has no use for it.
func (b Batch) CheckpointName(l Line) string {
	return fmt.Sprintf("%s%08d-%s", b.checkpoints(), l.Index, l.Key.Short())
}

// checkpoints is what the names of a batch's checkpoints begin with.
func (b Batch) checkpoints() string { return "checkpoints/" + b.Name + "@" }

// dropCheckpoints deletes a batch's checkpoints: nobody goes on from them.
func (b Batch) dropCheckpoints(ctx context.Context, store storage.Store) error {
	for name, err := range store.List(ctx, b.checkpoints()) {
		if err == nil {
			err = store.Delete(ctx, name)
		}
		if err != nil {
			return fmt.Errorf("dropping the checkpoints of batch %s: %w", b.Name, err)
		}
	}
	return nil
}

// Ext is the extension, without the dot, of the files of a job's format.
func Ext(format string) string {
	if format == "jpeg" {
		return "jpg"
	}
	return cmp.Or(format, "png")
}

// object is a picture's or a record's name, taken apart.
type object struct {
	name  string
	index int
	key   string // 12 hex digits
	ext   string
}

// shardPrefix is what the names of a shard's pictures and records begin with.
func (b Batch) shardPrefix(shard int) string {
	if b.Folders {
		return fmt.Sprintf("%s/%05d/", b.Name, shard)
	}
	return fmt.Sprintf("%s/%04d", b.Name, shard) // an index is a shard's number and 4 digits more
}

// objects yields the pictures and records whose names begin with prefix, by
// index. Names of another kind are passed over.
func (b Batch) objects(ctx context.Context, store storage.Store, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for name, err := range store.List(ctx, prefix) {
			if err != nil {
				yield(object{}, fmt.Errorf("listing %s: %w", prefix, err))
				return
			}
			if o, ok := b.parseObject(name); ok && !yield(o, nil) {
				return
			}
		}
	}
}

func (b Batch) parseObject(name string) (object, bool) {
	rest := strings.TrimPrefix(name, b.Name+"/")
	folder, base, nested := strings.Cut(rest, "/")
	if !nested {
		folder, base = "", rest
	}
	stem, ext, ok := strings.Cut(base, ".")
	if !ok || nested != b.Folders || len(stem) != 8+1+12 || stem[8] != '-' ||
		strings.Trim(stem[:8], "0123456789") != "" || strings.Trim(stem[9:], "0123456789abcdef") != "" {
		return object{}, false
	}
	index, _ := strconv.Atoi(stem[:8])
	if nested && folder != fmt.Sprintf("%05d", index/ShardLines) {
		return object{}, false
	}
	return object{name, index, stem[9:], ext}, true
}

// ErrDamaged is the cause of errors about an object that somebody else, or a
// broken disk, has made unreadable: a crash of darkroom doesn't.
var ErrDamaged = storage.ErrDamaged

func damaged(name string, err error, then string) error {
	return fmt.Errorf("%s is %w (%v); delete it, %s", name, ErrDamaged, err, then)
}

// isAbsent tells an object that isn't there from a store that can't be asked.
func isAbsent(err error) bool { return errors.Is(err, storage.ErrNotFound) }
