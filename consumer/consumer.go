package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Consumer serves queues: [Consumer.Start], then [Consumer.Shutdown] once.
type Consumer struct {
	cfg    Config
	server *asynq.Server
	client redis.UniversalClient
	queues map[string]*batch.Queue
	device chan struct{} // one token a job that is being rendered
	solo   chan struct{} // held by who takes all of device's
	crew   crew
	jobs   jobs
	opened batchCache

	// Three contexts, which end one after the other: taking that of new jobs,
	// stopping that of those under way, with the reason as its cause, and
	// ending that of what brings finished pictures into the store.
	taking   context.Context
	close    context.CancelFunc
	stopping context.Context
	stop     context.CancelCauseFunc
	ending   context.Context
	end      context.CancelFunc
	// abandon ends asynq's commands.
	abandon context.CancelFunc

	started   atomic.Bool
	hurries   atomic.Int32
	commit    sync.Mutex // held while Committed is called
	feeding   sync.Mutex // over unfed
	unfed     awaySince  // feeds fail
	redisAway atomic.Bool
	watching  sync.WaitGroup
}

// New makes a consumer. It takes no task before Start.
func New(cfg Config) (*Consumer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, device: make(chan struct{}, cfg.Jobs), solo: make(chan struct{}, 1), queues: map[string]*batch.Queue{}}
	for name := range cfg.Queues {
		if c.queues[name], err = cfg.Queue.At(name); err != nil {
			return nil, err
		}
	}
	c.crew.left = sync.NewCond(&c.crew.mu)
	c.taking, c.close = context.WithCancel(context.Background())
	c.stopping, c.stop = context.WithCancelCause(context.Background())
	c.ending, c.end = context.WithCancel(context.Background())
	abandoned, abandon := context.WithCancel(context.Background())
	c.abandon = abandon
	c.cfg.Store = cfg.Metrics.Store(cfg.Store)
	cfg.Metrics.Depths(c.queues)
	c.server, c.client = newServer(cfg, abandoned)
	cfg.Queue.Observe(cfg.Metrics.Redis())
	return c, nil
}

// Ready tells why the consumer doesn't serve, nil if it does: it takes tasks,
// and Redis and the store answer.
func (c *Consumer) Ready(ctx context.Context) error {
	switch {
	case !c.started.Load():
		return errors.New("it has not begun")
	case c.taking.Err() != nil:
		return errors.New("it is ending")
	case c.stopping.Err() != nil:
		return c.Err()
	}
	if err := c.cfg.Queue.Ping(ctx); err != nil {
		return err
	}
	// Any name will do; there need be no object.
	if _, err := c.cfg.Store.Get(ctx, "models/ready"); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("asking the store: %w", err)
	}
	return nil
}

// mostSkew is how far this machine's clock may be from Redis's. asynq's leases
// are of 30 seconds by the consumers' clocks, and their holders renew them
// every 5: a consumer whose clock is ahead by more than about 20 takes tasks
// from others that work on them.
const mostSkew = 10 * time.Second

// Start begins to take tasks. It refuses to where this machine's clock is far
// from Redis's. After an error Shutdown is still to be called.
func (c *Consumer) Start(ctx context.Context) error {
	skew, err := c.cfg.Queue.Skew(ctx)
	if err != nil {
		return err
	}
	if skew.Abs() > mostSkew {
		return fmt.Errorf("this machine's clock is %v %s that of Redis at %s, and at most %v is safe: set both by NTP",
			skew.Abs().Round(time.Millisecond), map[bool]string{true: "ahead of", false: "behind"}[skew > 0], c.cfg.Queue.Where(), mostSkew)
	}
	if err := c.server.Start(asynq.HandlerFunc(c.process)); err != nil {
		return fmt.Errorf("starting to take tasks: %w", err)
	}
	c.started.Store(true)
	c.watching.Go(c.watchRedis)
	if !c.cfg.one {
		c.watching.Go(c.watchCancels)
		for _, q := range c.queues {
			c.watching.Go(func() { c.tend(q) })
		}
	}
	return nil
}

// Broken is closed when the consumer has given up; Err then says why.
func (c *Consumer) Broken() <-chan struct{} { return c.stopping.Done() }

// Err says why the consumer gave up, nil where it didn't.
func (c *Consumer) Err() error {
	if err := context.Cause(c.stopping); err != job.ErrPreempted {
		return err
	}
	return nil
}

// Shutdown stops taking tasks and lets those jobs end that will within the
// grace period, as far as their steps tell. The others end after the step at
// hand, leave a checkpoint in the store, and go back to the head of the queue
// with no attempt counted. It returns when no job uses the renderer any more,
// or after StepTimeout, and tells which of the two: a renderer that isn't idle
// must not be closed. [Consumer.Hurry] makes it quicker.
func (c *Consumer) Shutdown() (idle bool) {
	deadline := time.Now().Add(c.cfg.Grace)
	c.close()
	if c.redisAway.Load() { // asynq would try for long, and in vain
		c.abandon()
	}
	c.server.Stop()
	rendering := c.cfg.Grace - min(c.cfg.Grace/4, 5*time.Second) // the rest is for the store
	c.jobs.preempt(func(r *running) bool { return r.left() > rendering })
	late := time.AfterFunc(rendering, func() { c.stop(job.ErrPreempted) })
	c.crew.wait(time.Until(deadline), func() bool { return c.crew.working == 0 })
	late.Stop()
	c.stop(job.ErrPreempted)
	c.end()
	c.server.Shutdown()
	if idle = c.crew.wait(c.cfg.StepTimeout, func() bool { return c.crew.present == 0 }); !idle {
		c.cfg.Log.Warn("a job doesn't heed that it is to end")
	}
	c.watching.Wait()
	c.abandon()
	c.client.Close()
	return idle
}

// Hurry makes a shutdown, under way or still to come, quicker: the first call
// ends all jobs after the step at hand, a second one gives up what has not
// reached the store as well.
func (c *Consumer) Hurry() {
	c.close()
	c.stop(job.ErrPreempted)
	if c.hurries.Add(1) > 1 {
		c.end()
	}
}

// tend looks after the open batches of a queue: at once, whoever did just now,
// and then every so often, one consumer for all.
func (c *Consumer) tend(q *batch.Queue) {
	tick := time.NewTicker(c.cfg.Tend)
	defer tick.Stop()
	for every := time.Duration(0); ; every = c.cfg.Tend * 9 / 10 { // a tick may be a little early
		var did batch.Tended
		_, err := q.Lead(c.taking, every, func(ctx context.Context) (err error) {
			did, err = q.Tend(ctx, c.cfg.Store)
			return errors.Join(err, q.TendSchedules(ctx, c.cfg.Store, time.Now()))
		})
		if err != nil && c.taking.Err() == nil {
			c.cfg.Log.Warn("looking after the open batches", "queue", q.Name(), "error", err)
		}
		if did != (batch.Tended{Open: did.Open}) {
			c.cfg.Log.Info("looked after the open batches", "queue", q.Name(), "open", did.Open, "done", did.Finished, "fed", did.Fed, "swept", did.Swept)
		}
		select {
		case <-tick.C:
		case <-c.taking.Done():
			return
		}
	}
}

// watchRedis notices when Redis is away, and gives up after too long.
func (c *Consumer) watchRedis() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var away awaySince
	for {
		select {
		case <-tick.C:
		case <-c.ending.Done():
			return
		}
		err := c.cfg.Queue.Ping(c.ending)
		if c.ending.Err() != nil {
			return
		}
		if was := c.redisAway.Swap(err != nil); was != (err != nil) {
			if was {
				c.cfg.Log.Warn("Redis is back")
			} else {
				c.cfg.Log.Warn("Redis is away", "error", err)
			}
		}
		if since := away.note(err); c.cfg.Patience > 0 && since > c.cfg.Patience {
			c.stop(fmt.Errorf("Redis has been away for %v: %w", since.Round(time.Second), err))
		}
	}
}

// awaySince is since when something has been failing.
type awaySince struct{ first time.Time }

func (a *awaySince) note(err error) time.Duration {
	switch {
	case err == nil:
		a.first = time.Time{}
		return 0
	case a.first.IsZero():
		a.first = time.Now()
	}
	return time.Since(a.first)
}
