package batch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Queue is a queue of tasks in Redis, with the bitmaps that count what is done.
type Queue struct {
	name      string
	where     string // for messages: no password
	server    server
	redis     redis.UniversalClient
	tasks     *asynq.Client
	inspector *asynq.Inspector
	writers   int // goroutines that enqueue

	shared bool                 // the connections are another Queue's, see At
	inside *miniredis.Miniredis // nil where Redis is a server
	stop   chan struct{}
	ticked chan struct{}
}

// OpenQueue opens the queue of a name (see [CheckQueue]) in the Redis of a URL:
//
//	redis://[user:password@]host[:port][/database]
//	rediss://...                     with TLS
//	rediss://...?ca=ca.pem&cert=client.pem&key=client.key
//	unix://[user:password@]/path/to/socket[?db=1]
//	redis://host:port,host:port      a cluster, from any of its nodes
//	redis+cluster://host:port        the same, from one node
//
// An empty URL means a Redis inside of the process, which is gone with it. No
// error names the URL's password.
func OpenQueue(ctx context.Context, rawURL, name string) (*Queue, error) {
	if err := CheckQueue(name); err != nil {
		return nil, err
	}
	q := &Queue{name: name, writers: 16}
	if rawURL == "" {
		if err := q.startInside(); err != nil {
			return nil, err
		}
	} else {
		var err error
		if q.server, err = parseURL(rawURL); err != nil {
			return nil, err
		}
		q.where = q.server.where()
	}
	q.redis = q.server.connect(nil)
	q.tasks = asynq.NewClientFromRedisClient(q.redis)
	q.inspector = asynq.NewInspectorFromRedisClient(q.redis)
	if err := q.Ping(ctx); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// startInside starts a Redis in the process. It listens on the loopback
// interface, for who knows its password.
func (q *Queue) startInside() error {
	q.inside = miniredis.NewMiniRedis()
	password := rand.Text()
	q.inside.RequireAuth(password)
	if err := q.inside.Start(); err != nil {
		return fmt.Errorf("starting a Redis in the process: %w", err)
	}
	q.writers = 2 // it runs one command at a time, and slower with more clients
	q.where = "inside of the process"
	q.server.options = redis.Options{Addr: q.inside.Addr(), Password: password}
	q.stop, q.ticked = make(chan struct{}), make(chan struct{})
	go func() { // its time to live stands still by itself
		defer close(q.ticked)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				q.inside.FastForward(time.Second)
			case <-q.stop:
				return
			}
		}
	}()
	return nil
}

// CheckQueue says what is wrong with a queue's name.
func CheckQueue(name string) error {
	if !wellFormed(name) {
		return fmt.Errorf("queue name %q: want 1 to 100 of A-Z a-z 0-9 . _ -, and no dot in front", name)
	}
	return nil
}

// At returns the queue of another name in the same Redis. It shares q's
// connections, and ends with q.
func (q *Queue) At(name string) (*Queue, error) {
	if err := CheckQueue(name); err != nil {
		return nil, err
	}
	other := *q
	other.name, other.shared = name, true
	return &other, nil
}

// Close closes the connections; a Redis inside of the process is gone.
func (q *Queue) Close() error {
	if q.shared {
		return nil
	}
	err := q.redis.Close()
	if q.inside != nil {
		close(q.stop)
		<-q.ticked
		q.inside.Close()
	}
	return err
}

// Name is the queue's name, as asynq knows it.
func (q *Queue) Name() string { return q.name }

// Where names the Redis for messages, without a password.
func (q *Queue) Where() string { return q.where }

// Connect makes connections of their own to the same Redis, which the caller
// closes. change, unless it is nil, may change how they are used.
func (q *Queue) Connect(change func(*redis.Options)) redis.UniversalClient {
	return q.server.connect(change)
}

// Options are those of a connection to the same Redis, which is no cluster.
func (q *Queue) Options() *redis.Options {
	options := q.server.options
	return &options
}

// Ping tells whether Redis answers within 5 seconds.
func (q *Queue) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := q.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("reaching Redis at %s: %w", q.where, err)
	}
	return nil
}

// Skew is how far this machine's clock is ahead of Redis's; negative where it
// is behind. Half of the way there and back is Redis's, as far as one knows:
// the quickest of a few tries counts.
func (q *Queue) Skew(ctx context.Context) (time.Duration, error) {
	node, err := q.node(ctx)
	if err != nil {
		return 0, fmt.Errorf("reaching Redis at %s: %w", q.where, err)
	}
	var skew time.Duration
	quickest := time.Duration(math.MaxInt64)
	for range 3 {
		begin := time.Now()
		there, err := node.Time(ctx).Result()
		if err != nil {
			return 0, fmt.Errorf("asking Redis at %s for the time: %w", q.where, err)
		}
		if took := time.Since(begin); took < quickest {
			quickest = took
			skew = begin.Add(took / 2).Sub(there)
		}
	}
	return skew, nil
}

// Info tells how many tasks wait and run.
func (q *Queue) Info() (*asynq.QueueInfo, error) {
	info, err := q.inspector.GetQueueInfo(q.name)
	if err != nil {
		return nil, fmt.Errorf("asking for the queue %s at %s: %w", q.name, q.where, err)
	}
	return info, nil
}

// Depth tells how many tasks the queue has, by asynq's state.
func (q *Queue) Depth(ctx context.Context) (map[string]int64, error) {
	var pending, active, scheduled, retry, archived *redis.IntCmd
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		pending, active = p.LLen(ctx, q.asynq("pending")), p.LLen(ctx, q.asynq("active"))
		scheduled, retry, archived = p.ZCard(ctx, q.asynq("scheduled")), p.ZCard(ctx, q.asynq("retry")), p.ZCard(ctx, q.asynq("archived"))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the depth of queue %s at %s: %w", q.name, q.where, err)
	}
	return map[string]int64{
		"pending": pending.Val(), "active": active.Val(), "scheduled": scheduled.Val(), "retry": retry.Val(), "archived": archived.Val(),
	}, nil
}

// Observe has a hook see all commands of the queue's connections.
func (q *Queue) Observe(hook redis.Hook) { q.redis.AddHook(hook) }

// Clear removes the queue: its tasks, whatever their state, and its bitmaps.
// It is for who alone uses it, such as a render before it begins.
func (q *Queue) Clear(ctx context.Context) error {
	err := q.clear(ctx)
	if err != nil {
		return fmt.Errorf("clearing the queue %s at %s: %w", q.name, q.where, err)
	}
	return nil
}

func (q *Queue) clear(ctx context.Context) error {
	node, err := q.node(ctx)
	if err != nil {
		return err
	}
	for _, pattern := range []string{"asynq:{" + q.name + "}:*", "darkroom:{" + q.name + "}:*"} {
		keys := node.Scan(ctx, 0, pattern, 1000).Iterator()
		var found []string
		for keys.Next(ctx) {
			found = append(found, keys.Val())
		}
		if err := keys.Err(); err != nil {
			return err
		}
		for len(found) > 0 {
			n := min(1000, len(found))
			if err := q.redis.Del(ctx, found[:n]...).Err(); err != nil {
				return err
			}
			found = found[n:]
		}
	}
	return q.redis.SRem(ctx, "asynq:queues", q.name).Err()
}

// enqueue puts a task at the queue's tail, unless one of its id waits or runs.
func (q *Queue) enqueue(ctx context.Context, kind, id string, payload []byte, more ...asynq.Option) error {
	options := append([]asynq.Option{asynq.TaskID(id), asynq.Queue(q.name),
		asynq.MaxRetry(math.MaxInt32), asynq.Timeout(30 * 24 * time.Hour)}, more...)
	for {
		// asynq archives a task whose retries are used up without a word to
		// us, and cancels one that takes too long: neither is to happen.
		_, err := q.tasks.EnqueueContext(ctx, asynq.NewTask(kind, payload), options...)
		if err == nil {
			return nil
		}
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return fmt.Errorf("enqueuing at %s: %w", q.where, err)
		}
		info, err := q.inspector.GetTaskInfo(q.name, id)
		switch {
		case errors.Is(err, asynq.ErrTaskNotFound):
			continue // it ended just now
		case errors.Is(err, asynq.ErrQueueNotFound):
			if err := q.announce(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("asking %s for a task: %w", q.where, err)
		case info.State != asynq.TaskStateArchived && info.State != asynq.TaskStateCompleted:
			return nil
		}
		// What asynq keeps of a task that ended blocks its id.
		slog.DebugContext(ctx, "deleting an ended task", "task", id, "state", info.State)
		if err := q.inspector.DeleteTask(q.name, id); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
			return fmt.Errorf("deleting an ended task at %s: %w", q.where, err)
		}
	}
}

// announce names the queue in Redis, where all who ask for its tasks look first.
// A client of asynq does so once: it doesn't know that Redis came back empty.
func (q *Queue) announce(ctx context.Context) error {
	if err := q.redis.SAdd(ctx, "asynq:queues", q.name).Err(); err != nil {
		return fmt.Errorf("naming the queue %s at %s: %w", q.name, q.where, err)
	}
	return nil
}

// key is the name of a Redis key of the queue; one queue's keys are on one
// node of a cluster, with asynq's.
func (q *Queue) key(parts ...string) string {
	return "darkroom:{" + q.name + "}:" + strings.Join(parts, ":")
}
