package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
)

type enqueueCommand struct {
	batchFlags
	remoteFlags
	Queue string `default:"${queue}" placeholder:"NAME" help:"The queue that the batch goes to; consumers choose theirs with --queues. Left out: ${default}."`
	Wait  bool   `help:"Watch the batch until it is done."`
	timeFlags
	modelFlags
	logFlags
}

func (c *enqueueCommand) Run(ctx context.Context, streams Streams) error {
	in, source, err := c.input(streams.In)
	if err != nil {
		return usage(err)
	}
	defer in.Close()
	schedule, scheduled, err := c.schedule(c.Name, time.Now())
	switch {
	case err != nil:
		return usage(err)
	case scheduled && c.Wait:
		return usage(errors.New("--wait: there is no batch to watch before its time comes; leave out one of --wait and --at or --cron"))
	case scheduled:
		c.Name = schedule.Name
	}
	if err := c.checkName(); err != nil {
		return usage(err)
	}
	library, err := c.library(c.logger(streams.Err))
	if err != nil {
		return usage(err)
	}
	r, err := c.open(ctx, c.Queue)
	if err != nil {
		return err
	}
	defer r.Close()
	catalogue, err := batch.ReadCatalogue(ctx, r.store)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	manifest, err := producer.Read(ctx, in, producer.Config{
		Name: c.Name, Source: source, Seed: c.Seed, Darkroom: Version, Queue: c.Queue,
		Models: knownModels{library, catalogue}, Folder: filepath.Dir(c.Batch),
	})
	if err != nil {
		return readError(err)
	}
	defer manifest.Close()
	if scheduled {
		return c.putSchedule(ctx, streams, r, manifest, schedule)
	}
	b, err := manifest.Put(ctx, r.store)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	if err := r.queue.Enqueue(ctx, b); err != nil {
		return err
	}
	fmt.Fprintf(streams.Err, "batch %s: %s on the queue %s; its pictures go to %s\n", b.Name, plural(b.Lines, "line"), b.Queue, r.store.Path(b.Name))
	if c.Wait {
		return watch(ctx, streams, r.store, r.queue, b)
	}
	return nil
}

// putSchedule puts a batch where consumers open it at its time.
func (c *enqueueCommand) putSchedule(ctx context.Context, streams Streams, r *remote, manifest *producer.Manifest, schedule batch.Schedule) error {
	before, absent := batch.OpenSchedule(ctx, r.store, schedule.Name)
	s, err := manifest.PutSchedule(ctx, r.store, schedule)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	if err := r.queue.EnqueueSchedule(ctx, r.store, s); err != nil {
		return err
	}
	slot, _, err := s.Next(ctx, r.store)
	if err != nil {
		return fmt.Errorf("%v: %w", r.store, err)
	}
	then := ""
	if s.Cron != "" {
		then = ", and so on"
	}
	if absent == nil && !before.From.Equal(s.From) {
		fmt.Fprintf(streams.Err, "schedule %s was there already, with other times or lines: these are in their place\n", s.Name)
	}
	fmt.Fprintf(streams.Err, "schedule %s: %s on the queue %s, as batch %s at %s%s\n",
		s.Name, plural(s.Lines, "line"), s.Queue, s.BatchAt(slot), clock(slot, s.Location()), then)
	return nil
}

// knownModels are those that lie on this machine, and those that consumers
// have told the store of.
type knownModels struct {
	library   *pipeline.Library
	catalogue *batch.Catalogue
}

// Model implements [producer.Models].
func (k knownModels) Model(ref string) (job.Model, error) {
	m, err := k.library.Model(ref)
	if !errors.Is(err, pipeline.ErrNoModel) {
		return m, err
	}
	m, served := k.catalogue.Model(ref)
	if served != nil {
		return m, fmt.Errorf("%w; and %w", err, served)
	}
	return m, nil
}
