// Package redistest starts real Redis servers for tests.
package redistest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Start starts a redis-server of the test's own and returns its URL and its
// process, which ends with the test. Without redis-server on the machine the
// test is left out, or fails where DARKROOM_TEST_ALL is 1.
func Start(t testing.TB) (url string, server *os.Process) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("DARKROOM_TEST_ALL") == "1" {
			t.Fatal("no redis-server on this machine")
		}
		t.Skip("no redis-server on this machine")
	}
	dir, err := os.MkdirTemp("", "redis-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--maxmemory-policy", "noeviction")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone already
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1})
	defer client.Close()
	for tick := time.Tick(2 * time.Millisecond); client.Ping(context.Background()).Err() != nil; <-tick {
		if t.Context().Err() != nil {
			t.Fatal("redis-server doesn't answer")
		}
	}
	return "unix://" + socket, cmd.Process
}
