//go:build unix

package faults

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// once holds that no line was rendered twice: a finished picture waits for the
// store.
func (r *rig) once(n int) {
	r.t.Helper()
	if begun := r.seen.count("begin", all); begun != n {
		r.t.Errorf("%d renders of %d lines", begun, n)
	}
}

// The bucket's server is killed with -9 and comes back.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	r := newBucketRig(t)
	r.enqueue("night", lines(100, "step=10ms"))
	w := r.work("--jobs", "3")
	for range 2 {
		some := r.records("night") + 5 + r.random.IntN(20)
		r.until("some are done", func() bool { return r.records("night") >= some })
		told := strings.Count(w.said.String(), "the store fails")
		r.bucket.Kill()
		r.until("the consumer notices", func() bool { return strings.Count(w.said.String(), "the store fails") > told })
		outage(8 * time.Second)
		if err := r.bucket.Start(); err != nil {
			t.Fatal(err)
		}
	}
	r.finish("night", w)
	r.once(100)
}

// The bucket's server answers with errors, late, or not at all, and does what it
// says that it didn't.
func TestStoreStorm(t *testing.T) {
	t.Parallel()
	troubles := map[string][]action{
		"slow down": {refuse(http.StatusServiceUnavailable, "SlowDown")},
		"resets":    {reset, lost(func() {})},
		"all kinds": {
			refuse(http.StatusServiceUnavailable, "SlowDown"), refuse(http.StatusInternalServerError, "InternalError"),
			refuse(http.StatusConflict, "ConditionalRequestConflict"), reset, lost(func() {}), late(2 * time.Second),
		},
		"slow": {late(300 * time.Millisecond)},
	}
	for name, kinds := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newBucketRig(t)
			r.enqueue("night", lines(60, ""))
			w := r.work("--jobs", "3")
			var mu sync.Mutex // over the random numbers
			choose := rand.New(rand.NewPCG(r.random.Uint64(), 0))
			r.way.on(func(*http.Request) action {
				mu.Lock()
				defer mu.Unlock()
				if choose.IntN(2) == 0 {
					return nil
				}
				return kinds[choose.IntN(len(kinds))]
			})
			r.until("most are done", func() bool { return r.records("night") >= 50 })
			r.way.calm()
			r.finish("night", w)
			r.once(60)
		})
	}
}

// late lets a request pass after a while.
func late(d time.Duration) action {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		select {
		case <-time.After(d):
			forward.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// The disk under the bucket, or under the folder, is full for a while.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	t.Run("said by the server", func(t *testing.T) {
		t.Parallel()
		r := newBucketRig(t)
		r.enqueue("night", lines(20, ""))
		w := r.work("--jobs", "2")
		r.way.on(func(req *http.Request) action {
			if req.Method == http.MethodPut {
				return refuse(http.StatusInsufficientStorage, "QuotaExceeded")
			}
			return nil
		})
		r.until("the consumer notices", func() bool { return strings.Contains(w.said.String(), "the store fails") })
		r.way.calm()
		r.finish("night", w)
		r.once(20)
	})
	for name, start := range map[string]func(t *testing.T, redisArgs ...string) *rig{"folder": newRig, "bucket": newBucketRig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			disk := r.dir
			if r.bucket != nil {
				disk = r.bucket.Dir
			}
			smallDisk(t, disk)
			w := r.work("--jobs", "2")
			r.enqueue("night", lines(100, "step=20ms"))
			r.until("some are done", func() bool { return r.records("night") >= 10 })
			fill(t, filepath.Join(disk, ".ballast"))
			r.until("the consumer notices", func() bool { return strings.Contains(w.said.String(), "the store fails") })
			if err := os.Remove(filepath.Join(disk, ".ballast")); err != nil {
				t.Fatal(err)
			}
			r.finish("night", w)
			r.once(100)
		})
	}
}

// smallDisk mounts a disk of 4 MB over a folder, for the test.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small disk can be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("the small disk stays at %s: %v", dir, err)
		}
	})
}

// fill writes a file that leaves no room on its disk.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int{64 << 10, 4 << 10} {
		for block := bytes.Repeat([]byte{1}, size); err == nil; {
			_, err = file.Write(block)
		}
		err = nil
	}
}
