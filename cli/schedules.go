package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

type schedulesCommand struct {
	List   scheduleListCommand   `cmd:"" default:"withargs" help:"List what opens by itself: when, as which batch, and when it last did."`
	Remove scheduleRemoveCommand `cmd:"" help:"Remove a schedule. Batches that it opened stay."`
}

type scheduleListCommand struct {
	storeFlags
	JSON bool `name:"json" help:"Print a JSON object a schedule."`
}

// scheduleLine is a schedule as it stands.
type scheduleLine struct {
	Schedule  string    `json:"schedule"`
	Next      time.Time `json:"next,omitzero"`
	Batch     string    `json:"batch,omitempty"` // of the next slot
	Last      time.Time `json:"last,omitzero"`
	LastBatch string    `json:"last_batch,omitempty"` // empty where the last slot was left out
	Cron      string    `json:"cron,omitempty"`
	Zone      string    `json:"tz"`
	Missed    string    `json:"missed"`
	Queue     string    `json:"queue"`
	Lines     int       `json:"lines"`
}

func (c scheduleListCommand) Run(ctx context.Context, streams Streams) error {
	store, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	all, broken := batch.Schedules(ctx, store)
	encoder := json.NewEncoder(streams.Out)
	table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "SCHEDULE\tNEXT\tBATCH\tLAST\tLAST BATCH\tCRON\tMISSED\tQUEUE\tLINES")
	}
	for _, s := range all {
		line, err := newScheduleLine(ctx, store, s)
		if err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		if c.JSON {
			err = encoder.Encode(line)
		} else {
			_, err = fmt.Fprintln(table, line.row(s.Location()))
		}
		if err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if broken != nil {
		return fmt.Errorf("%v: %w", store, broken)
	}
	return nil
}

// newScheduleLine asks the store how a schedule stands.
func newScheduleLine(ctx context.Context, store storage.Place, s batch.Schedule) (scheduleLine, error) {
	l := scheduleLine{Schedule: s.Name, Cron: s.Cron, Zone: s.Zone, Missed: string(s.Missed), Queue: s.Queue, Lines: s.Lines}
	next, more, err := s.Next(ctx, store)
	if err != nil {
		return l, err
	}
	if more {
		l.Next, l.Batch = next.In(s.Location()), s.BatchAt(next)
	}
	last, ran, err := s.Last(ctx, store)
	if err != nil || !ran {
		return l, err
	}
	l.Last = last.In(s.Location())
	name := s.BatchAt(last)
	switch _, err := batch.Open(ctx, store, name); {
	case err == nil:
		l.LastBatch = name
	case !errors.Is(err, storage.ErrNotFound):
		return l, err
	}
	return l, nil
}

// row is the schedule's row in the table.
func (l scheduleLine) row(zone *time.Location) string {
	next, last, lastBatch := "-", "-", "-"
	if !l.Next.IsZero() {
		next = clock(l.Next, zone)
	}
	if !l.Last.IsZero() {
		last, lastBatch = clock(l.Last, zone), cmp.Or(l.LastBatch, "(left out)")
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d",
		l.Schedule, next, cmp.Or(l.Batch, "-"), last, lastBatch, cmp.Or(l.Cron, "once"), l.Missed, l.Queue, l.Lines)
}

type scheduleRemoveCommand struct {
	Schedule string `arg:"" placeholder:"NAME" help:"The schedule's name."`
	storeFlags
}

func (c scheduleRemoveCommand) Run(ctx context.Context, streams Streams) error {
	if err := batch.CheckName(c.Schedule); err != nil {
		return usage(err)
	}
	store, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	s, err := batch.OpenSchedule(ctx, store, c.Schedule)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return usage(fmt.Errorf("there is no schedule %q in %v; \"darkroom schedules\" lists those that are there", c.Schedule, store))
	case err != nil && !errors.Is(err, batch.ErrDamaged):
		return fmt.Errorf("%v: %w", store, err)
	}
	if err := s.Remove(ctx, store); err != nil {
		return fmt.Errorf("%v: %w", store, err)
	}
	fmt.Fprintf(streams.Err, "schedule %s is removed; batches that it opened stay\n", c.Schedule)
	return nil
}
