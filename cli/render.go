package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

type renderCommand struct {
	batchFlags
	Output string `short:"o" required:"" placeholder:"STORE" help:"Where the pictures go, below the batch's name: a folder or s3://bucket/prefix."`
	Retry  bool   `help:"Give lines that ended without a picture another try."`

	modelFlags
	runtimeFlags
	Rows  int    `placeholder:"N" help:"The most rows of a call of the UNet; left out: what suits the device."`
	Redis string `env:"DARKROOM_REDIS" placeholder:"URL" help:"Queue the jobs in a Redis (redis://, rediss://, unix://, or a cluster's redis://host:port,host:port) instead of inside of the process."`
	Jobs  int    `placeholder:"N" help:"Pictures that are rendered at once; left out: what fills the device."`
	logFlags
}

// patience is how long a render waits for a disk or a Redis that fails before
// it gives up: all that is done is kept, and the same command goes on.
const patience = 10 * time.Second

func (c *renderCommand) Run(ctx context.Context, streams Streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	in, source, err := c.input(streams.In)
	if err != nil {
		return usage(err)
	}
	defer in.Close()
	if err := c.checkName(); err != nil {
		return usage(err)
	}
	screen := newScreen(streams)
	log := c.logger(screen)
	library, err := c.library(log)
	if err != nil {
		return usage(err)
	}
	manifest, err := producer.Read(ctx, in, producer.Config{
		Name: c.Name, Source: source, Seed: c.Seed, Darkroom: Version, Models: library,
		Folder: filepath.Dir(c.Batch),
	})
	if err != nil {
		return readError(err)
	}
	defer manifest.Close()

	runtime, err := c.openRuntime(c.Rows, log)
	if err != nil {
		return err
	}
	store, err := storage.OpenURL(ctx, c.Output)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Lock(); err != nil {
		return err
	}
	queue, err := batch.OpenQueue(ctx, c.Redis, queueName(store.String()))
	if err != nil {
		return err
	}
	defer queue.Close()
	b, err := manifest.Put(ctx, store)
	if err == nil && c.Retry {
		_, err = batch.Retry(ctx, store, queue, b, nil)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", store, err)
	}
	renderer := pipeline.New(runtime, library, Version)
	defer renderer.Close()

	if c.Jobs == 0 {
		c.Jobs = runtime.Device().Jobs()
	}
	var lost int
	counts, err := consumer.Run(ctx, consumer.Config{
		Store: store, Queue: queue, Renderer: renderer, Jobs: c.Jobs, Patience: patience, Log: log,
		Opened: func(found batch.Found) {
			lost = found.Losses
			screen.begin(b.Name, found, store)
		},
		Committed: func(e consumer.Event) { screen.committed(e, store) },
		Step:      func(_, step, steps int) { screen.step(step, steps) },
	}, b)
	screen.end()
	return ending(ctx, err, counts, lost, store, b, "--retry")
}

// ending is what a run comes to, with its exit status. retry is what gives
// failed lines another try.
func ending(ctx context.Context, err error, counts batch.Counts, lost int, store storage.Place, b batch.Batch, retry string) error {
	switch {
	case ctx.Err() != nil && counts.Open() > 0:
		return &exitError{exitCutOff, fmt.Errorf("cut off with %d of %d lines done; the same command goes on from there", counts.Lines-counts.Open(), counts.Lines)}
	case err != nil:
		return fmt.Errorf("%v: %w\nwhat is done is kept: mend it, and the same command goes on", store, err)
	case counts.Failed > 0:
		return &exitError{exitDeadLetters, fmt.Errorf("%d of %d lines have no picture: their records in %s say why; %s gives them another try", counts.Failed, counts.Lines, store.Path(b.Name), retry)}
	case lost > 0:
		return &exitError{exitDeadLetters, fmt.Errorf("%d of %d lines have lost their picture", lost, counts.Lines)}
	}
	return nil
}

// check finds what is wrong with the flags by themselves.
func (c *renderCommand) check() error {
	if err := storage.CheckURL(c.Output); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return errors.Join(checkCount("jobs", c.Jobs), checkFew("threads", c.Threads), checkFew("rows", c.Rows), batch.CheckURL(c.Redis))
}

// queueName is a name that no render to another store has: a run's queue is
// its own, in whatever Redis. It holds this machine's name because a store's
// lock keeps out renders of this machine only.
func queueName(store string) string {
	host, _ := os.Hostname()
	if abs, err := filepath.Abs(store); err == nil && !strings.Contains(store, "://") {
		store = abs
	}
	sum := sha256.Sum256([]byte(host + "\x00" + store))
	return fmt.Sprintf("render-%x", sum[:8])
}
