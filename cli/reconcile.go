package cli

import (
	"context"
	"fmt"

	"github.com/darkroom/darkroom/producer/batch"
)

type reconcileCommand struct {
	batchArg
	remoteFlags
}

func (c reconcileCommand) Run(ctx context.Context, streams Streams) error {
	r, b, q, err := c.batchArg.open(ctx, c.remoteFlags)
	if err != nil {
		return err
	}
	defer r.Close()
	found, err := batch.Reconcile(ctx, r.store, q, b)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	w := streams.Err
	fmt.Fprintf(w, "batch %s: %s, %d done, %d failed, %d open\n", b.Name, plural(b.Lines, "line"), found.Done, found.Failed, found.Open())
	if found.Stales > 0 {
		fmt.Fprintf(w, "kept, though the batch no longer has their lines:%s\n", paths(found.Stale, found.Stales, r.store))
	}
	if found.Losses > 0 {
		fmt.Fprintf(w, "done, but the picture is gone; delete the record, and it is rendered again:%s\n", paths(found.Lost, found.Losses, r.store))
	}
	cancelled, err := b.Cancelled(ctx, r.store)
	switch {
	case err != nil:
		return fmt.Errorf("%v: %w", r.store, err)
	case cancelled:
		fmt.Fprintln(w, "it is cancelled: nothing is enqueued")
	case found.Open() > 0:
		if err := q.Enqueue(ctx, b); err != nil {
			return err
		}
		fmt.Fprintln(w, "what is open and not on the queue is enqueued")
	default:
		if _, err := q.Finish(ctx, r.store, b, found.Counts); err != nil {
			return err
		}
	}
	if found.Losses > 0 {
		return &exitError{exitDeadLetters, fmt.Errorf("%d of %d lines have lost their picture", found.Losses, b.Lines)}
	}
	return nil
}
