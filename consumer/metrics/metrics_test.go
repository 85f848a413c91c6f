package metrics

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is a store that answers whatever it is told.
type failing struct {
	storage.Memory
	err error
}

func (f *failing) Get(context.Context, string) ([]byte, error) { return nil, f.err }

func TestStoreErrors(t *testing.T) {
	m := New()
	inner := &failing{}
	store := m.Store(inner)
	for _, inner.err = range []error{nil, storage.ErrNotFound, context.Canceled, context.DeadlineExceeded, errors.New("503")} {
		if _, err := store.Get(t.Context(), "a"); err != inner.err {
			t.Errorf("%v, want %v", err, inner.err)
		}
	}
	if err := store.PutIfAbsent(t.Context(), "b", nil); err != nil {
		t.Error(err)
	}
	if err := store.PutIfAbsent(t.Context(), "b", nil); !errors.Is(err, storage.ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if got := testutil.ToFloat64(m.storeErrors.WithLabelValues("get")); got != 2 {
		t.Errorf("%v errors of get, want 2", got)
	}
	if got := testutil.ToFloat64(m.storeErrors.WithLabelValues("put_if_absent")); got != 0 {
		t.Errorf("%v errors of put_if_absent, want 0", got)
	}
}

// Answers of a real Redis that are no failures, and one that is.
func TestRedisErrors(t *testing.T) {
	url, _ := redistest.Start(t)
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	m := New()
	client.AddHook(m.Redis())
	client.Get(t.Context(), "nothing")
	redis.NewScript("return 1").Run(t.Context(), client, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	client.Get(over, "nothing")
	if got := testutil.ToFloat64(m.redisErrors); got != 0 {
		t.Errorf("%v errors, want none", got)
	}
	client.LPush(t.Context(), "list", 1)
	if err := client.Get(t.Context(), "list").Err(); err == nil {
		t.Error("a list was read as a string")
	}
	if got := testutil.ToFloat64(m.redisErrors); got != 1 {
		t.Errorf("%v errors, want 1", got)
	}
}

func TestListen(t *testing.T) {
	for _, addr := range []string{"", "9090", "localhost", "127.0.0.1:http:1", ":99999", ":-1"} {
		if s, err := Listen(addr); err == nil || !strings.Contains(err.Error(), "want a host and a port") {
			s.Close()
			t.Errorf("%q: %v", addr, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Listen(taken.Addr().String()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an address that is taken: %v", err)
	}
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // never served
		t.Error(err)
	}
}
