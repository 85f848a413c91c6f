package consumer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// A checkpoint's object is a line of JSON, its header, and the renderer's state.
type checkpointHeader struct {
	Version  int          `json:"v"`
	Key      string       `json:"key"` // of the job
	MadeWith job.MadeWith `json:"made_with"`
	SHA256   string       `json:"sha256"` // of the state
}

const checkpointVersion = 1

// keep puts a checkpoint into the store, in place of an older one.
func (c *Consumer) keep(ctx context.Context, b batch.Batch, l batch.Line, p job.Checkpoint) error {
	sum := sha256.Sum256(p.State)
	header, err := json.Marshal(checkpointHeader{checkpointVersion, l.Key.String(), p.MadeWith, hex.EncodeToString(sum[:])})
	if err == nil {
		err = c.cfg.Store.Put(ctx, b.CheckpointName(l), append(append(header, '\n'), p.State...))
	}
	if err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	return nil
}

// checkpoint looks for the one of a line's job. One that is damaged is as none:
// then the job begins again. Any that is there is to be deleted after the commit.
func (c *Consumer) checkpoint(ctx context.Context, b batch.Batch, l batch.Line) (p *job.Checkpoint, there bool, err error) {
	data, err := c.cfg.Store.Get(ctx, b.CheckpointName(l))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil && !errors.Is(err, storage.ErrDamaged) {
		return nil, false, fmt.Errorf("looking for a checkpoint: %w", err)
	}
	if err == nil {
		p, err = readCheckpoint(data, l)
	}
	if err != nil {
		c.cfg.Log.Warn("a checkpoint is damaged; the job begins again", "checkpoint", b.CheckpointName(l), "error", err)
	}
	return p, true, nil
}

func readCheckpoint(data []byte, l batch.Line) (*job.Checkpoint, error) {
	head, state, ok := bytes.Cut(data, []byte{'\n'})
	var header checkpointHeader
	if err := json.Unmarshal(head, &header); err != nil || !ok {
		return nil, fmt.Errorf("it has no header: %.100q", data)
	}
	sum := sha256.Sum256(state)
	switch {
	case header.Version != checkpointVersion:
		return nil, fmt.Errorf("version %d, want %d", header.Version, checkpointVersion)
	case header.Key != l.Key.String():
		return nil, fmt.Errorf("it is of the job %s", header.Key)
	case header.SHA256 != hex.EncodeToString(sum[:]):
		return nil, fmt.Errorf("its %d bytes of state are not those that were written", len(state))
	}
	return &job.Checkpoint{MadeWith: header.MadeWith, State: state}, nil
}
