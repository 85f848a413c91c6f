package consumer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Consumer serves a queue: [Consumer.Start], then [Consumer.Shutdown] once.
type Consumer struct {
	cfg    Config
	server *asynq.Server
	client *redis.Client
	device chan struct{} // one token a job that is being rendered
	crew   crew
	opened batchCache

	// Two contexts: stopping ends the rendering of jobs and the taking of
	// tasks, and has the reason as its cause; ending, later, ends what brings
	// finished pictures into the store.
	stopping context.Context
	stop     context.CancelCauseFunc
	ending   context.Context
	end      context.CancelFunc
	// abandon ends asynq's commands.
	abandon context.CancelFunc

	commit    sync.Mutex // held while Committed is called
	redisAway atomic.Bool
	watching  sync.WaitGroup
}

// New makes a consumer. It takes no task before Start.
func New(cfg Config) (*Consumer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, device: make(chan struct{}, cfg.Jobs)}
	c.crew.left = sync.NewCond(&c.crew.mu)
	c.stopping, c.stop = context.WithCancelCause(context.Background())
	c.ending, c.end = context.WithCancel(context.Background())
	abandoned, abandon := context.WithCancel(context.Background())
	c.abandon = abandon
	c.server, c.client = newServer(cfg, abandoned)
	return c, nil
}

// Start begins to take tasks.
func (c *Consumer) Start() error {
	if err := c.server.Start(asynq.HandlerFunc(c.process)); err != nil {
		return fmt.Errorf("starting to take tasks: %w", err)
	}
	c.watching.Go(c.watchRedis)
	return nil
}

// Broken is closed when the consumer has given up; Err then says why.
func (c *Consumer) Broken() <-chan struct{} { return c.stopping.Done() }

// Err says why the consumer gave up, nil where it didn't.
func (c *Consumer) Err() error {
	if err := context.Cause(c.stopping); err != errStopped {
		return err
	}
	return nil
}

// Shutdown stops taking tasks, lets jobs end after the step at hand, waits up
// to the grace period for that and for finished pictures to reach the store,
// and puts the unfinished jobs back at the head of the queue, with no attempt
// counted. It returns when no job uses the renderer any more, or after
// StepTimeout.
func (c *Consumer) Shutdown() {
	c.stop(errStopped)
	if c.redisAway.Load() { // asynq would try for long, and in vain
		c.abandon()
	}
	c.server.Stop()
	c.crew.wait(c.cfg.Grace, func() bool { return c.crew.working == 0 })
	c.end()
	c.server.Shutdown()
	if !c.crew.wait(c.cfg.StepTimeout, func() bool { return c.crew.present == 0 }) {
		c.cfg.Log.Warn("a job doesn't heed that it is to end")
	}
	c.watching.Wait()
	c.abandon()
	c.client.Close()
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
			c.cfg.Log.Warn("Redis is "+map[bool]string{true: "back", false: "away"}[was], "error", err)
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

// crew counts the handlers.
type crew struct {
	mu      sync.Mutex
	left    *sync.Cond
	present int // handlers that have not returned
	working int // those of them that don't just wait to be put back
}

func (c *crew) count(present, working int) {
	c.mu.Lock()
	c.present += present
	c.working += working
	c.mu.Unlock()
	c.left.Broadcast()
}

// wait waits until a condition on the counts holds, but not for too long, and
// tells whether it does.
func (c *crew) wait(most time.Duration, holds func() bool) bool {
	late := false
	timer := time.AfterFunc(most, func() {
		c.mu.Lock()
		late = true
		c.mu.Unlock()
		c.left.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !holds() && !late {
		c.left.Wait()
	}
	return holds()
}

// batchCache keeps what batch.json says for a short while.
type batchCache struct {
	mu   sync.Mutex
	read map[string]cached
}

type cached struct {
	batch batch.Batch
	at    time.Time
}

const cacheFor = 2 * time.Second

// get returns the batch that a task is of. A task of a manifest that is not
// the one in the cache has batch.json read again.
func (b *batchCache) get(t batch.Task, open func() (batch.Batch, error)) (batch.Batch, error) {
	b.mu.Lock()
	c, ok := b.read[t.Batch]
	b.mu.Unlock()
	if ok && c.batch.Manifest == t.Manifest && time.Since(c.at) < cacheFor {
		return c.batch, nil
	}
	now, err := open()
	if err != nil {
		return batch.Batch{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read == nil || len(b.read) > 1000 {
		b.read = make(map[string]cached)
	}
	b.read[t.Batch] = cached{now, time.Now()}
	return now, nil
}
