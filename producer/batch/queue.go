package batch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Queue is a queue of tasks in Redis, with the bitmaps that count what is done.
type Queue struct {
	name      string
	where     string // for messages: no password
	options   *redis.Options
	redis     *redis.Client
	tasks     *asynq.Client
	inspector *asynq.Inspector
	writers   int // goroutines that enqueue

	inside *miniredis.Miniredis // nil where Redis is a server
	stop   chan struct{}
	ticked chan struct{}
}

// OpenQueue opens the queue of a name, [A-Za-z0-9._-]+, in the Redis of a URL:
// redis://, rediss:// or unix://. An empty URL means a Redis inside of the
// process, which is gone with it. No error names the URL's password.
func OpenQueue(ctx context.Context, rawURL, name string) (*Queue, error) {
	if err := CheckName(name); err != nil {
		return nil, fmt.Errorf("queue name %q: want A-Z a-z 0-9 . _ -", name)
	}
	q := &Queue{name: name, writers: 16}
	if rawURL == "" {
		if err := q.startInside(); err != nil {
			return nil, err
		}
	} else {
		options, err := parseURL(rawURL)
		if err != nil {
			return nil, err
		}
		q.options, q.where = options, options.Addr
	}
	quietRedis()
	q.redis = redis.NewClient(q.options)
	q.tasks = asynq.NewClientFromRedisClient(q.redis)
	q.inspector = asynq.NewInspectorFromRedisClient(q.redis)
	if err := q.Ping(ctx); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// quietRedis sends what the Redis client would print on stderr to the log.
// Errors come back from its calls as well.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(redisLog{}) })

type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, args ...any) {
	slog.DebugContext(ctx, fmt.Sprintf(format, args...))
}

// CheckURL says what is wrong with the URL of a Redis, without reaching it.
func CheckURL(rawURL string) error {
	if rawURL == "" {
		return nil
	}
	_, err := parseURL(rawURL)
	return err
}

func parseURL(rawURL string) (*redis.Options, error) {
	const want = "want redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path/to/socket"
	u, err := url.Parse(rawURL)
	if err != nil { // it would quote the password
		return nil, errors.New("the Redis URL can't be read: " + want)
	}
	options, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the Redis URL %s: %s", u.Redacted(), want)
	}
	return options, nil
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
	q.options = &redis.Options{Addr: q.inside.Addr(), Password: password}
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

// Close closes the connections; a Redis inside of the process is gone.
func (q *Queue) Close() error {
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

// Options are those of a new connection of its own to the same Redis.
func (q *Queue) Options() *redis.Options {
	options := *q.options
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

// Info tells how many tasks wait and run.
func (q *Queue) Info() (*asynq.QueueInfo, error) {
	info, err := q.inspector.GetQueueInfo(q.name)
	if err != nil {
		return nil, fmt.Errorf("asking for the queue %s at %s: %w", q.name, q.where, err)
	}
	return info, nil
}

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
	for _, pattern := range []string{"asynq:{" + q.name + "}:*", "darkroom:{" + q.name + "}:*"} {
		keys := q.redis.Scan(ctx, 0, pattern, 1000).Iterator()
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
func (q *Queue) enqueue(ctx context.Context, kind, id string, payload []byte) error {
	for {
		// asynq archives a task whose retries are used up without a word to
		// us, and cancels one that takes too long: neither is to happen.
		_, err := q.tasks.EnqueueContext(ctx, asynq.NewTask(kind, payload), asynq.TaskID(id), asynq.Queue(q.name),
			asynq.MaxRetry(math.MaxInt32), asynq.Timeout(30*24*time.Hour))
		if err == nil {
			return nil
		}
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return fmt.Errorf("enqueuing at %s: %w", q.where, err)
		}
		info, err := q.inspector.GetTaskInfo(q.name, id)
		switch {
		case errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound):
			continue // it ended just now
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

// key is the name of a Redis key of the queue; one queue's keys are on one
// node of a cluster, with asynq's.
func (q *Queue) key(parts ...string) string {
	return "darkroom:{" + q.name + "}:" + strings.Join(parts, ":")
}
