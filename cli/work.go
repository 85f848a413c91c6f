package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/consumer/metrics"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/producer/batch"
)

type workCommand struct {
	remoteFlags
	Queues weights       `env:"DARKROOM_QUEUES" default:"${queue}" placeholder:"NAME[=WEIGHT],..." help:"The queues to serve: of tasks that wait in two with the weights 3 and 1, three of four are the first one's. Left out: ${default}."`
	Jobs   int           `placeholder:"N" help:"Pictures that are rendered at once; left out: what fills the device."`
	Grace  time.Duration `env:"DARKROOM_GRACE" default:"30s" placeholder:"TIME" help:"How long a SIGTERM waits for jobs that will be done by then; the others leave a checkpoint and go back to the queue. A second signal ends jobs after the step at hand, a third at once. Left out: ${default}."`
	modelFlags
	runtimeFlags
	Rows int    `placeholder:"N" help:"The most rows of a call of the UNet; left out: what suits the device."`
	HTTP string `name:"http" env:"DARKROOM_HTTP" placeholder:"ADDR" help:"Serve /healthz, /readyz and /metrics (Prometheus) at an address such as 127.0.0.1:9090, or :9090 for all of this machine's; left out: nowhere."`
	logFlags
}

// Run serves queues until a signal comes: the first lets jobs end that will
// within the grace period, the second none, and the third leaves at once.
func (c *workCommand) Run(ctx context.Context, streams Streams, other *otherRenderer) error {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	if err := c.check(); err != nil {
		return usage(err)
	}
	screen := newScreen(streams)
	log := c.logger(screen)
	library, err := c.library(log)
	if err != nil {
		return usage(err)
	}
	var server *metrics.Server
	if c.HTTP != "" {
		if server, err = metrics.Listen(c.HTTP); err != nil {
			return fmt.Errorf("--http: %w", err)
		}
		defer server.Close()
	}
	r, err := c.open(ctx, defaultQueue)
	if err != nil {
		return err
	}
	defer r.Close()
	renderer, most := other.Renderer, 1
	if renderer == nil {
		runtime, err := c.openRuntime(c.Rows, log)
		if err != nil {
			return err
		}
		renderer, most = pipeline.New(runtime, library, Version), runtime.Device().Jobs()
	}
	idle := true
	defer func() {
		if idle { // else it goes with the process: its models are in use
			renderer.Close()
		}
	}()
	if c.Jobs == 0 {
		c.Jobs = most
	}
	counts := metrics.New(slices.Collect(maps.Keys(c.Queues))...)
	worker, err := consumer.New(consumer.Config{
		Store: r.store, Queue: r.queue, Queues: c.Queues, Renderer: renderer, Jobs: c.Jobs, Grace: c.Grace, Metrics: counts, Log: log,
		Committed: func(e consumer.Event) { screen.committed(e, r.store) },
	})
	if err != nil {
		return usage(err)
	}
	if server != nil {
		tellRenderer(counts, renderer)
		server.Serve(counts, worker.Ready, log)
		fmt.Fprintf(screen, "health and metrics are at %s/healthz, /readyz and /metrics\n", server.URL())
	}
	// Models that were never digested take a while: who asks for health has an
	// answer before.
	if err = tellModels(ctx, r, library, log); err == nil {
		err = worker.Start(ctx)
	}
	if err == nil {
		fmt.Fprintf(screen, "serving %s at %s, %s at once by %s; pictures go to %v\n",
			strings.Join(slices.Sorted(maps.Keys(c.Queues)), ", "), r.queue.Where(), plural(c.Jobs, "picture"), renderer.MadeWith().Provider, r.store)
		select {
		case <-ctx.Done():
			fmt.Fprintf(screen, "ending within %v; a second signal ends jobs after the step at hand, a third at once\n", c.Grace)
		case <-worker.Broken():
			err = worker.Err()
		}
	}
	if idle = end(ctx, worker, signals); !idle {
		return &exitError{exitCutOff, errors.New("left at once: what was under way is rendered again, by whoever finds it")}
	}
	return err
}

// end shuts a consumer down, quicker with each further signal, and tells
// whether it came to its end, with the renderer idle.
func end(ctx context.Context, worker *consumer.Consumer, signals <-chan os.Signal) bool {
	ended := make(chan bool, 1)
	go func() { ended <- worker.Shutdown() }()
	n := 0
	if ctx.Err() != nil {
		n = -1 // the first signal, which main has heeded, is in the channel as well
	}
	for ; ; n++ {
		select {
		case idle := <-ended:
			return idle
		case <-signals:
			if n > 0 {
				return false
			}
			if n == 0 {
				worker.Hurry()
			}
		}
	}
}

func (c *workCommand) check() error {
	for name := range c.Queues {
		if err := batch.CheckQueue(name); err != nil {
			return fmt.Errorf("--queues: %w", err)
		}
	}
	switch {
	case c.HTTP != "" && metrics.CheckAddr(c.HTTP) != nil:
		return fmt.Errorf("--http %w", metrics.CheckAddr(c.HTTP))
	case c.Grace <= 0:
		return fmt.Errorf("--grace %v: want a time such as 30s or 2m", c.Grace)
	}
	return errors.Join(checkCount("jobs", c.Jobs), checkFew("threads", c.Threads), checkFew("rows", c.Rows))
}

// tellRenderer has the metrics ask the renderer.
func tellRenderer(counts *metrics.Metrics, renderer Renderer) {
	made := renderer.MadeWith()
	counts.Build(Version, made.ONNXRuntime, made.Provider)
	drawing, ok := renderer.(*pipeline.Renderer)
	if !ok {
		return
	}
	counts.Device(func() metrics.Device {
		s := drawing.Stats()
		d := metrics.Device{Lanes: s.Lanes, Calls: s.Calls, Rows: s.Rows, Slots: s.Slots, Idle: s.Idle}
		for _, busy := range s.Busy {
			d.Busy += busy
		}
		d.Models, d.ModelBytes, d.MemoryBudget = drawing.Loaded()
		return d
	})
}

// tellModels puts what is served into the store's catalogue, for producers that
// don't have the models. One that is broken is left out.
func tellModels(ctx context.Context, r *remote, library *pipeline.Library, log *slog.Logger) error {
	for _, entry := range library.Entries() {
		m, err := library.Model(entry.Name)
		if err != nil {
			log.Warn("a model can't be served", "error", err)
			continue
		}
		if err := batch.PutModel(ctx, r.store, m); err != nil {
			return fmt.Errorf("%v: %w", r.store, err)
		}
	}
	return nil
}
