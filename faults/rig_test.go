//go:build unix

package faults

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/s3test"
)

// rig is a test's own Redis and store, and the processes that meet there.
type rig struct {
	t      *testing.T
	random *rand.Rand // from the seed

	redis    *redistest.Server
	redisURL string        // as the processes have it
	client   *redis.Client // to look with

	bucket *s3test.Server // nil where the store is a folder
	way    *gateway       // to the bucket
	store  string         // as the processes have it
	dir    string         // where its objects are files

	seen seen
}

// newRig is one with a folder, and a Redis that writes all down at once.
func newRig(t *testing.T, redisArgs ...string) *rig {
	t.Helper()
	seed := cmp.Or(*seedFlag, rand.Uint64())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay it: go test ./faults -run '^%s$' -seed %d", t.Name(), seed)
		}
	})
	r := &rig{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	r.redis = redistest.StartServer(t, append([]string{"--appendonly", "yes", "--appendfsync", "always"}, redisArgs...)...)
	r.redisURL, r.store = r.redis.URL, r.dir
	r.client = redis.NewClient(&redis.Options{Network: "unix", Addr: r.redis.Socket})
	t.Cleanup(func() { r.client.Close() })
	return r
}

// newBucketRig is one with a bucket, behind a gateway.
func newBucketRig(t *testing.T, redisArgs ...string) *rig {
	t.Helper()
	r := newRig(t, redisArgs...)
	r.bucket = s3test.Start(t)
	r.way = newGateway(t, r.bucket)
	r.store, r.dir = r.bucket.URL("p"), filepath.Join(r.bucket.Dir, "p")
	return r
}

// command is a darkroom command in a process of its own, that finds Redis and
// the store.
func (r *rig) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), beDarkroom+"=1", "DARKROOM_REDIS="+r.redisURL, "DARKROOM_STORE="+r.store)
	if r.bucket != nil {
		cmd.Env = append(cmd.Env, r.bucket.Environ()...)
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+r.way.url)
	}
	return cmd
}

// run runs a command to its end, which must be that of the exit status, and
// returns what it said.
func (r *rig) run(status int, args ...string) string {
	r.t.Helper()
	out, err := r.command(args...).CombinedOutput()
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		r.t.Fatal(err)
	}
	if got != status {
		r.t.Fatalf("darkroom %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, status, out)
	}
	return string(out)
}

// file writes a batch file.
func (r *rig) file(name, lines string) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), name+".jsonl")
	if err := os.WriteFile(path, []byte(lines), 0o666); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// enqueue puts a batch on the queue.
func (r *rig) enqueue(name, lines string) {
	r.t.Helper()
	r.run(0, "enqueue", r.file(name, lines))
}

// lines are n lines of a batch file with a prompt.
func lines(n int, prompt string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(fmt.Sprintf("line-%d", i), prompt))
	}
	return b.String()
}

func line(id, prompt string) string { return longLine(id, prompt, 4) }

func longLine(id, prompt string, steps int) string {
	return fmt.Sprintf(`{"id":%q,"prompt":%q,"steps":%d,"width":32,"height":32}`+"\n", id, prompt, steps)
}

// gate is a file's name for gate=, and what makes the file.
func (r *rig) gate() (name string, open func()) {
	r.t.Helper()
	name = filepath.Join(r.t.TempDir(), "gate")
	return name, func() {
		r.t.Helper()
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			r.t.Fatal(err)
		}
	}
}

// until waits until a condition holds.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	r.within(15*time.Minute, what, holds)
}

func (r *rig) within(most time.Duration, what string, holds func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for {
		begin := time.Now()
		if holds() {
			return
		}
		select {
		case <-time.After(max(20*time.Millisecond, 5*time.Since(begin))): // looking is not to cost much
		case <-deadline.C:
			r.t.Fatalf("%s: not within %v\n%s", what, most, r.state())
		}
	}
}

// outage is how long a fault lasts: time is what the test is about.
func outage(d time.Duration) { <-time.After(d) }

// objects are the names of the store's objects.
func (r *rig) objects() []string {
	r.t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(r.dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err): // not yet, or no longer
			return nil
		case err != nil:
			return err
		case d.IsDir() && name == ".darkroom":
			return fs.SkipDir
		case !d.IsDir():
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// snapshot is a copy of the store.
func (r *rig) snapshot() storage.Store {
	r.t.Helper()
	copied := &storage.Memory{}
	for _, name := range r.objects() {
		data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = copied.Put(context.Background(), name, data)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return copied
}

// records counts a batch's records.
func (r *rig) records(name string) int {
	n := 0
	for _, object := range r.objects() {
		if strings.HasPrefix(object, name+"/0") && strings.HasSuffix(object, ".json") {
			n++
		}
	}
	return n
}

// pictures are the ids of the lines of [lines] that have a picture.
func (r *rig) pictures(name string) map[string]bool {
	ids := map[string]bool{}
	for _, object := range r.objects() {
		var index int
		if _, err := fmt.Sscanf(object, name+"/%08d-", &index); err == nil && strings.HasSuffix(object, ".png") {
			ids[fmt.Sprintf("line-%d", index)] = true
		}
	}
	return ids
}

// has tells whether the store has an object.
func (r *rig) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(name)))
	return err == nil
}
