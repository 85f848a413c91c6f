// Package redistest starts real Redis servers for tests.
package redistest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server of the test's own.
type Server struct {
	URL    string // unix:// and Socket
	Socket string
	Dir    string // where it keeps what it keeps

	program string
	args    []string
	cmd     *exec.Cmd
	gone    chan struct{} // closed when the process has ended
}

// StartServer starts a server with more arguments than those that every test
// wants, such as "--appendonly", "yes". It ends with the test. Without
// redis-server on the machine the test is left out, or fails where
// DARKROOM_TEST_ALL is 1.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()
	program := find(t)
	dir, err := os.MkdirTemp("", "redis-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{Socket: filepath.Join(dir, "s"), Dir: filepath.Join(dir, "data"), program: program}
	s.URL = "unix://" + s.Socket
	s.args = append([]string{"--port", "0", "--unixsocket", s.Socket, "--dir", s.Dir, "--save", "", "--maxmemory-policy", "noeviction"}, args...)
	t.Cleanup(s.Kill)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func find(t testing.TB) (program string) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("DARKROOM_TEST_ALL") == "1" {
			t.Fatal("no redis-server on this machine")
		}
		t.Skip("no redis-server on this machine")
	}
	return program
}

// Start starts the server, again after Kill, with what its folder holds.
func (s *Server) Start() error {
	if err := os.MkdirAll(s.Dir, 0o777); err != nil {
		return err
	}
	s.cmd = exec.Command(s.program, s.args...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.gone = gone
	go func() {
		defer close(gone)
		_ = s.cmd.Wait() // killed, as a rule
	}()
	client := s.Client()
	defer client.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for client.Ping(context.Background()).Err() != nil { // LOADING is an error as well
		select {
		case <-tick.C:
		case <-gone:
			return fmt.Errorf("redis-server ended: %v", s.cmd.ProcessState)
		case <-late:
			return fmt.Errorf("redis-server doesn't answer")
		}
	}
	return nil
}

// Kill ends the server with -9.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // it may be gone already
		<-s.gone
	}
}

// Client is a connection to the server, which the caller closes.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket, MaxRetries: -1})
}

// Start starts a redis-server of the test's own and returns its URL and its
// process; see [StartServer].
func Start(t testing.TB) (url string, server *os.Process) {
	t.Helper()
	s := StartServer(t)
	return s.URL, s.cmd.Process
}
