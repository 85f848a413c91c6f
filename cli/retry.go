package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/producer/batch"
)

type retryCommand struct {
	batchArg
	remoteFlags
	ID    []string `name:"id" placeholder:"ID" help:"Only lines of these ids; may be given more than once."`
	Class []string `placeholder:"CLASS" help:"Only lines that failed for these reasons, such as render or bad_job; may be given more than once."`
}

func (c retryCommand) Run(ctx context.Context, streams Streams) error {
	for _, class := range c.Class {
		if !slices.Contains(consumer.Classes, class) {
			return usage(fmt.Errorf("--class %s: want one of %s", class, strings.Join(consumer.Classes, ", ")))
		}
	}
	r, b, q, err := c.batchArg.open(ctx, c.remoteFlags)
	if err != nil {
		return err
	}
	defer r.Close()
	taken, err := batch.Retry(ctx, r.store, q, b, func(record batch.Record) bool {
		return (c.ID == nil || slices.Contains(c.ID, record.ID)) && (c.Class == nil || slices.Contains(c.Class, record.Class))
	})
	if err == nil {
		// What was cancelled goes on as well.
		err = b.Reopen(ctx, r.store)
	}
	if err == nil {
		err = q.Enqueue(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("%v: %w\nwhat is done is kept: mend it, and the same command goes on", r.store, err)
	}
	if taken == 0 && (c.ID != nil || c.Class != nil) {
		fmt.Fprintf(streams.Err, "batch %s: no line that failed is of this --id and --class\n", b.Name)
		return nil
	}
	fmt.Fprintf(streams.Err, "batch %s: %s had failed and %s another try\n", b.Name, plural(taken, "line"), map[bool]string{true: "gets", false: "get"}[taken == 1])
	return nil
}
