//go:build unix

package faults

import (
	"net/http"
	"sync"
	"testing"
)

// A consumer is killed with -9 at random pictures, and others go on.
func TestKill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue("night", lines(60, "step=20ms"))
	steady := r.work("--jobs", "2")
	for range 3 {
		w := r.work("--jobs", "3")
		steps := 1 + r.random.IntN(20)
		r.until("the consumer is in the middle of it", func() bool {
			return r.seen.count("step", by(w)) >= steps || r.records("night") == 60
		})
		w.kill()
	}
	r.finish("night", steady)
}

// A consumer is killed with -9 between any two requests that commit a picture.
// A picture that has reached the store is not rendered again.
func TestKillAt(t *testing.T) {
	t.Parallel()
	for name, point := range map[string]func(r *http.Request) (at, after bool){
		"before the picture":                   func(r *http.Request) (bool, bool) { return isPut(r, ".png"), false },
		"after the picture":                    func(r *http.Request) (bool, bool) { return isPut(r, ".png"), true },
		"before the record":                    func(r *http.Request) (bool, bool) { return isRecord(r), false },
		"after the record, before the queue's": func(r *http.Request) (bool, bool) { return isRecord(r), true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newBucketRig(t)
			r.enqueue("night", lines(8, ""))
			w := r.begin("--jobs", "2")
			var once sync.Once
			killed := make(chan struct{})
			kill := func() { once.Do(func() { w.kill(); close(killed) }) }
			r.way.on(func(req *http.Request) action {
				switch at, after := point(req); {
				case !at:
					return nil
				case after:
					return lost(kill)
				default:
					return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
						kill()
						reset(w, req, nil)
					}
				}
			})
			r.until("the consumer is killed", func() bool {
				select {
				case <-killed:
					return true
				default:
					return false
				}
			})
			r.way.calm()
			there := r.pictures("night")
			r.finish("night", r.work("--jobs", "2"))
			for id := range there {
				if n := r.seen.count("begin", of(id)); n != 1 {
					t.Errorf("%s was rendered %d times, and its picture was there after the first", id, n)
				}
			}
		})
	}
}
