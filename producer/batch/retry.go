package batch

import (
	"context"

	"github.com/darkroom/darkroom/storage"
)

// Retry takes back the dead letters of a batch's lines, so that they are
// rendered again, and returns how many there were. It reads every record.
func Retry(ctx context.Context, store storage.Store, b Batch) (taken int, err error) {
	for shard := range b.Shards() {
		lines, err := b.shard(ctx, store, shard)
		if err != nil {
			return taken, err
		}
		for line, err := range b.recorded(ctx, store, shard, lines) {
			if err != nil {
				return taken, err
			}
			was, err := Commit{store, b}.Retry(ctx, line)
			if err != nil {
				return taken, err
			}
			if was {
				taken++
			}
		}
	}
	return taken, nil
}
