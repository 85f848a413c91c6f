package batch

import (
	"bytes"
	"context"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

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

// decodeLine reads a line of a manifest or a task.
func decodeLine(index int, data []byte) (Line, error) {
	spec, faults := job.Decode(data)
	if faults != nil {
		return Line{}, fmt.Errorf("line %d of the manifest: %w", index, faults)
	}
	return Line{Index: index, Key: spec.Key(), Spec: spec}, nil
}
