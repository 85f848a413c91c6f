package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage/porttest"
)

// threeLines is a batch of three pictures.
const threeLines = `{"prompt": "a red circle", "steps": 2, "n": 3}` + "\n"

// TestSecrets works through a Redis with TLS, a user and a password, and looks
// for the password in all that comes out of it, also where it is wrong.
func TestSecrets(t *testing.T) {
	orttest.Open(t)
	const password = "s3cret-w0rd"
	server := redistest.StartTLS(t, "darkroom", password)
	dir := t.TempDir()
	file, store := filepath.Join(dir, "night.jsonl"), filepath.Join(dir, "store")
	if err := os.WriteFile(file, []byte(threeLines), 0o666); err != nil {
		t.Fatal(err)
	}
	tls := "?ca=" + server.CA + "&cert=" + server.Cert + "&key=" + server.Key
	url := func(password, addr string) string { return "rediss://darkroom:" + password + "@" + addr + tls }
	var said collected
	command := func(url string, args ...string) *exec.Cmd {
		cmd := darkroom(t, args...)
		cmd.Env = append(cmd.Env, "DARKROOM_REDIS="+url, "DARKROOM_STORE="+store)
		cmd.Stdout, cmd.Stderr = &said, io.MultiWriter(&said, t.Output())
		return cmd
	}
	good := url(password, server.Addr)
	work := command(good, "work", "-v", "--http", "127.0.0.1:0")
	address := serving(t, work, &said)
	run(t, command(good, "enqueue", "-v", file, "--wait"))
	for _, args := range [][]string{{"status"}, {"status", "night", "--json"}, {"watch", "night"}, {"reconcile", "night"}, {"schedules"}, {"work", "--help"}, {"enqueue", "--help"}} {
		run(t, command(good, args...))
	}
	for _, page := range []string{"/metrics", "/readyz", "/healthz"} {
		_, text := get(t, address+page)
		said.Write([]byte(text))
	}
	server.Server.Kill()
	_, text := get(t, address+"/readyz")
	said.Write([]byte(text))
	if err := work.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Error(err)
	}
	if err := server.Server.Start(); err != nil { // without the user
		t.Fatal(err)
	}
	var failing sync.WaitGroup
	nobody := "127.0.0.1:" + porttest.Take(t)
	for _, c := range []struct{ url, want string }{
		{good, "WRONGPASS"},
		{url(password, nobody), "connection refused"},
		{"rediss://" + password + "@" + server.Addr, "write :password@"},
		{"rediss://darkroom:" + password + "@" + server.Addr + "/one", "the database or an option is wrong"},
	} {
		for _, args := range [][]string{{"enqueue", "-v", file}, {"work", "-v"}, {"status"}, {"watch", "night"}, {"cancel", "night"}, {"render", "-v", file, "-o", filepath.Join(dir, "out")}} {
			failing.Go(func() {
				var now collected
				cmd := command(c.url, args...)
				cmd.Stdout, cmd.Stderr = io.MultiWriter(&said, &now), io.MultiWriter(&said, &now)
				if err := cmd.Run(); err == nil || !strings.Contains(now.String(), c.want) {
					t.Errorf("%s: %v, says %q, want %s", args[0], err, now.String(), c.want)
				}
			})
		}
		failing.Wait()
	}
	if strings.Contains(said.String(), password) {
		t.Error("what commands and pages said holds the password")
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(password)) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCluster works through a cluster of three real nodes.
func TestCluster(t *testing.T) {
	orttest.Open(t)
	addrs := redistest.StartCluster(t, 3)
	dir := t.TempDir()
	file, store := filepath.Join(dir, "night.jsonl"), filepath.Join(dir, "store")
	if err := os.WriteFile(file, []byte(threeLines), 0o666); err != nil {
		t.Fatal(err)
	}
	url := "redis://" + strings.Join(addrs, ",")
	flags := []string{"--redis", url, "--store", store}
	work := darkroom(t, append([]string{"work", "--queues", "one=1,two=2,three=1"}, flags...)...)
	serving(t, work, io.Discard)
	for _, queue := range []string{"one", "two", "three"} {
		run(t, darkroom(t, append([]string{"enqueue", file, "--name", queue, "--queue", queue, "--wait"}, flags...)...))
	}
	var status bytes.Buffer
	cmd := darkroom(t, append([]string{"status", "--json"}, flags...)...)
	cmd.Stdout = &status
	run(t, cmd)
	if n := strings.Count(status.String(), `"lines":3,"done":3,"failed":0`); n != 3 {
		t.Errorf("%d batches are done, want 3:\n%s", n, status.String())
	}
	run(t, darkroom(t, "render", file, "-o", filepath.Join(dir, "out"), "--redis", "redis+cluster://"+addrs[1]))
	if err := work.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Error(err)
	}
}

// collected is what several processes say.
type collected struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *collected) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *collected) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}
