package cli

import (
	"context"
	"fmt"

	"github.com/darkroom/darkroom/producer/batch"
)

type cancelCommand struct {
	batchArg
	remoteFlags
}

func (c cancelCommand) Run(ctx context.Context, streams Streams) error {
	r, b, q, err := c.batchArg.open(ctx, c.remoteFlags)
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := q.Progress(ctx, r.store, b)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	if p.Counts().Open() == 0 {
		fmt.Fprintf(streams.Err, "batch %s is done: there is nothing to cancel\n", b.Name)
		return nil
	}
	if err := batch.Cancel(ctx, r.store, q, b); err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	fmt.Fprintf(streams.Err, "batch %s is cancelled: what runs ends after the step at hand, and what is done stays; \"darkroom retry\" or \"darkroom enqueue\" goes on\n", b.Name)
	return nil
}
