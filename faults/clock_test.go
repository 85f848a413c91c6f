//go:build unix

package faults

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A clock that is far from Redis's is refused, and one that is near is not.
func TestClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue("night", lines(10, ""))
	skewed := newSkewed(t, r)
	for ahead, want := range map[time.Duration]string{
		time.Hour:         "ahead of that of Redis",
		40 * time.Second:  "ahead of that of Redis",
		-40 * time.Second: "behind that of Redis",
	} {
		skewed.ahead.Store(int64(ahead))
		w := r.begin()
		w.end(3)
		said := w.said.String()
		if !strings.Contains(said, want) || !strings.Contains(said, "at most 10s is safe") {
			t.Errorf("%v ahead, it said:\n%s", ahead, said)
		}
	}
	if n := r.seen.count("begin", all); n != 0 {
		t.Errorf("%d jobs were begun by consumers with a wrong clock", n)
	}
	skewed.ahead.Store(int64(3 * time.Second))
	r.finish("night", r.work("--jobs", "2"))
}

// skewed stands before a Redis and puts its clock behind that of this machine.
type skewed struct{ ahead atomic.Int64 }

func newSkewed(t *testing.T, r *rig) *skewed {
	t.Helper()
	s := &skewed{}
	socket := filepath.Join(filepath.Dir(r.redis.Socket), "skewed")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r.redisURL = "unix://" + socket
	go func() {
		for {
			near, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			far, err := net.Dial("unix", r.redis.Socket)
			if err != nil {
				near.Close()
				continue
			}
			go func() {
				defer far.Close()
				_, _ = io.Copy(far, near)
			}()
			go func() {
				defer near.Close()
				_, _ = io.Copy(&clockWriter{near, s}, far)
			}()
		}
	}()
	return s
}

// clockWriter passes on what Redis says, with another time in answers to TIME:
// two strings, seconds since 1970 and microseconds.
type clockWriter struct {
	io.Writer
	skewed *skewed
}

var answerToTime = regexp.MustCompile(`^\*2\r\n\$10\r\n(\d{10})\r\n\$\d\r\n\d+\r\n$`)

func (w *clockWriter) Write(p []byte) (int, error) {
	m := answerToTime.FindSubmatchIndex(p)
	if m == nil {
		return w.Writer.Write(p)
	}
	seconds, err := strconv.Atoi(string(p[m[2]:m[3]]))
	if err != nil {
		return 0, err
	}
	seconds -= int(time.Duration(w.skewed.ahead.Load()).Seconds())
	if _, err := fmt.Fprintf(w.Writer, "%s%d%s", p[:m[2]], seconds, p[m[3]:]); err != nil {
		return 0, err
	}
	return len(p), nil
}
