package metrics

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// Redis returns a client's hook that counts commands that fail. An answer that
// says there is nothing, or that a script is not known yet, is no failure, nor
// is it that who asked has given up.
func (m *Metrics) Redis() redis.Hook { return redisHook{m} }

type redisHook struct{ metrics *Metrics }

func (h redisHook) count(err error) error {
	if err != nil && !errors.Is(err, redis.Nil) && !errors.Is(err, context.Canceled) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		h.metrics.redisErrors.Inc()
	}
	return err
}

func (h redisHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return h.count(next(ctx, cmd)) }
}

func (h redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return h.count(next(ctx, cmds)) }
}
