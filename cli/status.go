package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

type statusCommand struct {
	Batch string `arg:"" optional:"" placeholder:"BATCH" help:"A batch's name; left out: all that are in the store."`
	remoteFlags
	JSON bool `name:"json" help:"Print a JSON object a batch."`
}

func (c statusCommand) Run(ctx context.Context, streams Streams) error {
	if c.Batch != "" {
		if err := batch.CheckName(c.Batch); err != nil {
			return usage(err)
		}
	}
	r, err := c.open(ctx, defaultQueue)
	if err != nil {
		return err
	}
	defer r.Close()
	all, err := c.progress(ctx, r)
	if all == nil && err != nil {
		return err
	}
	return errors.Join(c.print(streams, all), err)
}

func (c statusCommand) print(streams Streams, all []batch.Progress) error {
	if c.JSON {
		encoder := json.NewEncoder(streams.Out)
		for _, p := range all {
			if err := encoder.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BATCH\tLINES\tDONE\tFAILED\tRUNNING\tQUEUED\tCANCELLED\tA SECOND\tLEFT")
	for _, p := range all {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%d\t%d\t%.2f\t%s\n", p.Batch, p.Lines, p.Done, failures(p), p.Running, p.Queued, p.Cancelled, p.Rate, left(p))
	}
	return table.Flush()
}

// progress asks for the batch that is named, or for all: those that can be read
// come with what is wrong with the others.
func (c statusCommand) progress(ctx context.Context, r *remote) ([]batch.Progress, error) {
	names := []string{c.Batch}
	if c.Batch == "" {
		var err error
		if names, err = storage.Top(ctx, r.store); err != nil {
			return nil, fmt.Errorf("%v: %w", r.store, err)
		}
	}
	var all []batch.Progress
	var broken []error
	for _, name := range names {
		if c.Batch == "" && batch.CheckName(name) != nil {
			continue // the store's own, or somebody else's
		}
		b, q, err := r.batch(ctx, name)
		if e, ok := errors.AsType[*exitError](err); ok && e.status == exitUsage && c.Batch == "" {
			continue // another folder, or a render's batch
		}
		if errors.Is(err, batch.ErrDamaged) {
			broken = append(broken, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := q.Progress(ctx, r.store, b)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, errors.Join(broken...)
}

// failures is how many lines failed, and of what.
func failures(p batch.Progress) string {
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(p.FailedByClass)) {
		classes = append(classes, fmt.Sprintf("%d %s", p.FailedByClass[class], class))
	}
	if classes == nil {
		return fmt.Sprint(p.Failed)
	}
	return fmt.Sprintf("%d (%s)", p.Failed, strings.Join(classes, ", "))
}

// left is how long a batch has to go.
func left(p batch.Progress) string {
	if p.ETA == nil {
		return "?"
	}
	return (time.Duration(*p.ETA) * time.Second).String()
}
