package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

type watchCommand struct {
	batchArg
	remoteFlags
}

func (c watchCommand) Run(ctx context.Context, streams Streams) error {
	r, b, q, err := c.batchArg.open(ctx, c.remoteFlags)
	if err != nil {
		return err
	}
	defer r.Close()
	return watch(ctx, streams, r.store, q, b)
}

// watchEvery is how often a watch looks.
const watchEvery = 500 * time.Millisecond

// watch shows how a batch gets on until no line is open, with the exit status
// of a render. While Redis or the store is away it waits.
func watch(ctx context.Context, streams Streams, store storage.Place, q *batch.Queue, b batch.Batch) error {
	screen := newScreen(streams)
	defer screen.end()
	var seen batch.Bits // failures that have been told, or were there before
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	away, begun := false, false
	for {
		now, err := batch.Open(ctx, store, b.Name)
		if err == nil && now.Manifest != b.Manifest { // nobody works on these any more
			return &exitError{exitDeadLetters, fmt.Errorf("batch %s has other lines now: watch it again", b.Name)}
		}
		var p batch.Progress
		if err == nil {
			p, err = q.Progress(ctx, store, b)
		}
		if err == nil && seen == nil {
			seen, err = q.Failed(ctx, b)
		}
		if err == nil && !begun {
			begun = true
			screen.begin(b.Name, batch.Found{Counts: p.Counts()}, store)
		}
		if err == nil {
			err = tell(ctx, screen, store, q, b, seen)
		}
		if err == nil {
			screen.reached(p)
		}
		switch {
		case ctx.Err() != nil:
			return &exitError{exitCutOff, fmt.Errorf("batch %s goes on without being watched", b.Name)}
		case err == nil && p.Counts().Open() == 0:
			return ending(ctx, nil, p.Counts(), 0, store, b, `"darkroom retry"`)
		case err == nil && p.Cancelled > 0 && p.Running == 0:
			return &exitError{exitDeadLetters, fmt.Errorf("batch %s is cancelled, with %d of %d lines open", b.Name, p.Counts().Open(), b.Lines)}
		}
		if (err != nil) != away {
			away = err != nil
			fmt.Fprintf(screen, "%s\n", awayLine(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func awayLine(err error) string {
	if err == nil {
		return "going on"
	}
	return "waiting: " + err.Error()
}

// tell says which lines have failed since it was last asked.
func tell(ctx context.Context, screen *screen, store storage.Place, q *batch.Queue, b batch.Batch, seen batch.Bits) error {
	for letter, err := range q.DeadLetters(ctx, store, b, seen) {
		if err != nil {
			if errors.Is(err, batch.ErrDamaged) {
				fmt.Fprintln(screen, err)
				continue
			}
			return err
		}
		screen.failure(letter.Record, b.RecordName(letter.Line), store)
	}
	return nil
}
