//go:build unix

package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// worker is a "darkroom work" in a process of its own.
type worker struct {
	rig    *rig
	cmd    *exec.Cmd
	said   *output
	ended  chan struct{}
	killed bool
}

// work starts a consumer and waits until it serves. It ends with the test.
func (r *rig) work(args ...string) *worker {
	r.t.Helper()
	w := r.begin(args...)
	if !w.serves() {
		r.t.Fatalf("a consumer ended: %v\n%s", w.cmd.ProcessState, w.said)
	}
	return w
}

// serves waits until it serves, and tells whether it does: it may end first.
func (w *worker) serves() bool {
	w.rig.t.Helper()
	w.rig.until("a consumer serves", func() bool { return w.over() || strings.Contains(w.said.String(), "serving ") })
	return !w.over()
}

// begin starts a consumer.
func (r *rig) begin(args ...string) *worker {
	r.t.Helper()
	w := &worker{rig: r, cmd: r.command(append([]string{"work"}, args...)...), said: &output{}, ended: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	w.cmd.ExtraFiles = []*os.File{write} // eventsFD
	w.cmd.Stderr = w.said
	if err := w.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	write.Close()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer read.Close()
		for lines := bufio.NewScanner(read); lines.Scan(); {
			r.seen.note(w, lines.Text())
		}
	}()
	go func() {
		defer close(w.ended)
		_ = w.cmd.Wait() // ProcessState tells
		<-heard
	}()
	r.t.Cleanup(func() {
		w.kill()
		if r.t.Failed() || os.Getenv("DARKROOM_TEST_TELL") != "" {
			r.t.Logf("consumer %d said:\n%s", w.cmd.Process.Pid, w.said)
		}
		if strings.Contains(w.said.String(), "DATA RACE") {
			r.t.Errorf("consumer %d: %s", w.cmd.Process.Pid, w.said)
		}
	})
	return w
}

func (w *worker) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// signal sends a signal.
func (w *worker) signal(s syscall.Signal) {
	w.rig.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.rig.t.Fatal(err)
	}
}

// kill ends it with -9, if it is there.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	<-w.ended
}

// end waits for its end, which must be that of an exit status.
func (w *worker) end(status int) {
	w.rig.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(3 * time.Minute):
		w.rig.t.Fatal("a consumer doesn't end")
	}
	if got := w.cmd.ProcessState.ExitCode(); got != status {
		w.rig.t.Errorf("a consumer ended with %v, want exit status %d\n%s", w.cmd.ProcessState, status, w.said)
	}
}

// stop ends it as a SIGTERM does.
func (w *worker) stop() {
	w.rig.t.Helper()
	w.signal(syscall.SIGTERM)
	w.end(0)
}

// output is what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// seen is what the processes told of their renders.
type seen struct {
	mu     sync.Mutex
	events []event
}

// event is a render's beginning, step or end.
type event struct {
	by   *worker
	what string // begin, step, end
	id   string // the line's
	step int
}

func (s *seen) note(w *worker, text string) {
	e := event{by: w}
	if _, err := fmt.Sscanf(text, "%s %s %d", &e.what, &e.id, &e.step); err != nil {
		return // cut off
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// count counts the events of a kind that a condition chooses.
func (s *seen) count(what string, choose func(event) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, e := range s.events {
		if e.what == what && choose(e) {
			n++
		}
	}
	return n
}

// of chooses the events of a line.
func of(id string) func(event) bool { return func(e event) bool { return e.id == id } }

// by chooses the events of a process.
func by(w *worker) func(event) bool { return func(e event) bool { return e.by == w } }

func all(event) bool { return true }

// steps are a line's steps in the order in which they were done.
func (s *seen) steps(id string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var steps []int
	for _, e := range s.events {
		if e.what == "step" && e.id == id {
			steps = append(steps, e.step)
		}
	}
	return slices.Clip(steps)
}
