package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// newServer sets asynq up, on a Redis client of its own.
// Once abandoned is done, its commands fail at once.
func newServer(cfg Config, abandoned context.Context) (*asynq.Server, redis.UniversalClient) {
	client := cfg.Queue.Connect(func(o *redis.Options) {
		o.MaxRetries, o.DialerRetries = 10, 1 // for about 4 seconds
	})
	client.AddHook(hook{abandoned})
	client.AddHook(cfg.Metrics.Redis())
	return asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency:              cfg.Jobs + 1, // one more feeds, or has its job at hand
		Queues:                   cfg.Queues,
		TaskCheckInterval:        50 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		RetryDelayFunc:           retryDelay,
		IsFailure:                func(err error) bool { return !errors.Is(err, errElsewhere) },
		ShutdownTimeout:          time.Millisecond, // the grace period is ours
		Logger:                   asynqLog{cfg.Log},
		LogLevel:                 asynq.WarnLevel,
	}), client
}

// hook changes under which contexts asynq's commands run.
//
// It lets asynq say that a task is done after Redis was away. asynq v0.26
// tries such a command again, but with the context of the first try, which it
// cancelled as it gave that up: without this hook the command never leaves,
// and the task runs again once its lease is over.
//
// And it ends all commands when the consumer shuts down while Redis is away.
// The client can't be closed for that: asynq's subscriber wouldn't survive it.
type hook struct{ abandoned context.Context }

func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := h.abandoned.Err(); err != nil {
			return err
		}
		var cancel context.CancelFunc
		if errors.Is(ctx.Err(), context.Canceled) && strings.HasPrefix(cmd.Name(), "eval") {
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		} else {
			ctx, cancel = context.WithCancel(ctx)
		}
		defer cancel()
		defer context.AfterFunc(h.abandoned, cancel)()
		return next(ctx, cmd)
	}
}

// asynqLog is asynq's log in ours, where it is for debugging: what asynq tells
// of is mended by itself, and that Redis is away we tell once.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) tell(args []any)   { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Debug(args ...any) { l.tell(args) }
func (l asynqLog) Info(args ...any)  { l.tell(args) }
func (l asynqLog) Warn(args ...any)  { l.tell(args) }
func (l asynqLog) Error(args ...any) { l.tell(args) }
func (l asynqLog) Fatal(args ...any) { l.tell(args) }
