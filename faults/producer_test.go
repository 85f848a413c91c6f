//go:build unix

package faults

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// A producer is killed with -9 before and after each request that it makes, and
// run again: nothing is there twice, and nothing is missing.
func TestProducerKilled(t *testing.T) {
	t.Parallel()
	r := newBucketRig(t)
	dir := t.TempDir()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "in.png"), picture.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	var names []string
	write := func(n int, after bool) string {
		name := fmt.Sprintf("night-%d-%v", n, after)
		names = append(names, name)
		file := filepath.Join(dir, name+".jsonl")
		text := lines(5, "") + `{"id":"edit","kind":"edit","image":"in.png","prompt":"a circle","steps":4}` + "\n"
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for n := 1; ; n++ {
		killed := 0
		for _, after := range []bool{false, true} {
			file := write(n, after)
			if r.killAt(r.command("enqueue", file), n, after) {
				killed++
			}
			if n%2 == 1 { // the others are left to the consumers, where the batch was opened
				r.run(0, "enqueue", file)
			}
		}
		if killed == 0 {
			if n < 8 {
				t.Errorf("the producer makes %d requests, want more to kill it at", n-1)
			}
			break
		}
	}
	r.way.calm()
	w := r.work("--jobs", "2")
	opened := names[:0]
	for i, name := range names {
		if _, err := os.Stat(filepath.Join(r.dir, name, "batch.json")); os.IsNotExist(err) {
			r.run(0, "enqueue", filepath.Join(dir, name+".jsonl"))
		} else if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // once more
			r.run(0, "enqueue", filepath.Join(dir, name+".jsonl"))
		}
		opened = append(opened, name)
	}
	for _, name := range opened {
		r.settle(name)
	}
	w.stop()
	r.check(opened...)
	for _, object := range r.objects() {
		if ext := filepath.Ext(object); filepath.Dir(object) == "inputs" && ext != ".png" {
			t.Errorf("%s should not be there", object)
		}
	}
}

// killAt runs a command and kills it at its n-th request to the bucket, before
// or after the server has it, and tells whether it came to that.
func (r *rig) killAt(cmd *exec.Cmd, n int, after bool) bool {
	r.t.Helper()
	var requests atomic.Int64
	var once sync.Once
	started := make(chan struct{})
	kill := func() {
		<-started
		once.Do(func() { _ = cmd.Process.Kill() })
	}
	r.way.on(func(*http.Request) action {
		switch now := requests.Add(1); {
		case now < int64(n):
			return nil
		case now == int64(n) && after:
			return lost(kill)
		default:
			return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
				kill()
				reset(w, req, nil)
			}
		}
	})
	defer r.way.calm()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	if requests.Load() < int64(n) && err != nil {
		r.t.Fatalf("the producer ended with %v before its request %d", err, n)
	}
	return requests.Load() >= int64(n)
}
