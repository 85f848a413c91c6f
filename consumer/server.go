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
func newServer(cfg Config, health func(error)) (*asynq.Server, *redis.Client) {
	options := cfg.Queue.Options()
	options.MaxRetries = 10
	client := redis.NewClient(options)
	client.AddHook(detach{})
	interval := 15 * time.Second
	if cfg.Patience > 0 {
		interval = time.Second
	}
	return asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency:              cfg.Jobs + 1, // one more feeds, or has its job at hand
		Queues:                   map[string]int{cfg.Queue.Name(): 1},
		TaskCheckInterval:        50 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		RetryDelayFunc:           retryDelay,
		ShutdownTimeout:          time.Millisecond, // the grace period is ours
		HealthCheckFunc:          health,
		HealthCheckInterval:      interval,
		Logger:                   asynqLog{cfg.Log},
		LogLevel:                 asynq.WarnLevel,
	}), client
}

// detach lets asynq say that a task is done after Redis was away. asynq v0.26
// tries such a command again, but with the context of the first try, which it
// cancelled as it gave that up: without this hook the command never leaves,
// and the task runs again once its lease is over.
type detach struct{}

func (detach) DialHook(next redis.DialHook) redis.DialHook { return next }

func (detach) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (detach) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if errors.Is(ctx.Err(), context.Canceled) && strings.HasPrefix(cmd.Name(), "eval") {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
		}
		return next(ctx, cmd)
	}
}

// asynqLog is asynq's log in ours. What asynq warns of is either told by us or
// of no use to a person.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
