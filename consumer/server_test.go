package consumer

import (
	"context"
	"testing"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/redis/go-redis/v9"
)

// asynq tries a command again with a context that it has cancelled: it must
// get through nevertheless, and nothing else must.
func TestHookDetaches(t *testing.T) {
	url, _ := redistest.Start(t)
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	abandoned, abandon := context.WithCancel(t.Context())

	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Eval(cancelled, `return redis.call("SET", "x", "1")`, nil).Err(); err == nil {
		t.Fatal("without the hook a cancelled command gets through: the hook has become useless")
	}
	client.AddHook(hook{abandoned})
	if err := client.Eval(cancelled, `return redis.call("SET", "x", "1")`, nil).Err(); err != nil {
		t.Errorf("a script with a cancelled context: %v", err)
	}
	if err := client.Set(cancelled, "y", "1", 0).Err(); err == nil {
		t.Error("a plain command with a cancelled context got through")
	}
	if n := client.Exists(t.Context(), "x", "y").Val(); n != 1 {
		t.Errorf("%d keys are there, want 1", n)
	}
	abandon()
	if err := client.Eval(t.Context(), `return 1`, nil).Err(); err == nil {
		t.Error("a command got through after the client was abandoned")
	}
}
