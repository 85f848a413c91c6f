package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// screen shows how a render gets on: the pictures' paths on stdout, and on
// stderr what failed, the log, and how far it is: a bar on a terminal, else a
// line now and then. It is safe for concurrent use.
type screen struct {
	streams Streams

	mu      sync.Mutex
	bar     *progressbar.ProgressBar // nil where stderr is no terminal
	lines   int                      // that this run has before it
	done    int                      // of them
	failed  int                      // of those done
	rate    float64                  // pictures a second, where others tell it
	before  int                      // failures before this run
	begun   time.Time
	printed time.Time
}

func newScreen(streams Streams) *screen { return &screen{streams: streams} }

// linesApart is the time between two lines where there is no bar.
const linesApart = 10 * time.Second

// begin says what is there already of a batch and begins to count the rest.
func (s *screen) begin(name string, found batch.Found, store storage.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.streams.Err
	s.lines, s.before, s.begun, s.printed = found.Open(), found.Failed, time.Now(), time.Now()
	if there := found.Lines - found.Open(); there > 0 {
		dead := ""
		if found.Failed > 0 {
			dead = fmt.Sprintf(" (%d without a picture)", found.Failed)
		}
		fmt.Fprintf(w, "%d of %d lines are done already%s, in %s; %d to go\n", there, found.Lines, dead, store.Path(name), s.lines)
	}
	if found.Stales > 0 && name != promptName { // each new prompt is a new batch
		fmt.Fprintf(w, "kept, though the batch no longer has their lines:%s\n", paths(found.Stale, found.Stales, store))
	}
	if found.Losses > 0 {
		fmt.Fprintf(w, "done, but the picture is gone; delete the record, and it is rendered again:%s\n", paths(found.Lost, found.Losses, store))
	}
	if s.lines > 0 && isTerminal(w) {
		s.bar = progressbar.NewOptions(s.lines,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), // its rate is a whole number: see pace
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(50*time.Millisecond),
		)
	}
}

// paths names the first few of some objects, each on a line of its own.
func paths(names []string, all int, store storage.Place) string {
	const few = 5
	var b strings.Builder
	for _, name := range names[:min(few, len(names))] {
		b.WriteString("\n  " + store.Path(name))
	}
	if all > few {
		fmt.Fprintf(&b, "\n  and %d more", all-few)
	}
	return b.String()
}

// committed shows a line that has its record.
func (s *screen) committed(e consumer.Event, store storage.Place) {
	s.aside(func() {
		if e.Record.Status == batch.Done {
			fmt.Fprintln(s.streams.Out, store.Path(e.Picture))
			return
		}
		s.dead(e.Record, e.Name, store)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if e.Record.Status != batch.Done {
		s.failed++
	}
	s.show()
}

// failure shows a line that failed elsewhere.
func (s *screen) failure(r batch.Record, name string, store storage.Place) {
	s.aside(func() { s.dead(r, name, store) })
}

// dead prints why a line has no picture.
func (s *screen) dead(r batch.Record, name string, store storage.Place) {
	id := ""
	if r.ID != "" {
		id = " (" + r.ID + ")"
	}
	fmt.Fprintf(s.streams.Err, "no picture%s: %s: %s: %s\n", id, store.Path(name), r.Class, r.Error)
}

// reached shows how far a batch is on which others work.
func (s *screen) reached(p batch.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := p.Counts()
	s.rate = p.Rate
	s.done = s.lines - c.Open()
	s.failed = c.Failed - s.before
	s.show()
}

// show draws the bar, or prints a line now and then.
func (s *screen) show() {
	if s.bar != nil {
		if s.lines > 1 { // one picture has no rate before it is done
			s.bar.Describe(s.pace())
		}
		_ = s.bar.Set(s.done) // a bar that can't be drawn is no reason to stop
	} else if s.lines > 0 && s.done > 0 && time.Since(s.printed) >= linesApart {
		s.printed = time.Now()
		fmt.Fprintf(s.streams.Err, "%d of %d pictures, %s\n", s.done, s.lines, s.pace())
	}
}

// pace is how fast it goes and how long it takes from here.
func (s *screen) pace() string {
	rate := s.rate
	if rate == 0 {
		rate = float64(s.done) / time.Since(s.begun).Seconds()
	}
	if rate == 0 {
		return "no picture yet"
	}
	left := time.Duration(float64(s.lines-s.done) / rate * float64(time.Second))
	return fmt.Sprintf("%.2f a second, %v left", rate, left.Round(time.Second))
}

// step shows where the one picture is, for which a bar of pictures stands still.
func (s *screen) step(step, steps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil && s.lines == 1 {
		s.bar.Describe(fmt.Sprintf("step %d of %d", step, steps))
	}
}

// Write puts a line of the log on stderr.
func (s *screen) Write(line []byte) (n int, err error) {
	s.aside(func() { n, err = s.streams.Err.Write(line) })
	return n, err
}

// aside runs print, which writes to the terminal that the bar is on.
func (s *screen) aside(print func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
		defer s.bar.RenderBlank()
	}
	print()
}

// end takes the bar away and says what was done.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
		s.bar = nil
	}
	if pictures := s.done - s.failed; pictures > 0 {
		took := time.Since(s.begun)
		fmt.Fprintf(s.streams.Err, "%s in %v, %.2f a second\n", plural(pictures, "picture"), took.Round(time.Millisecond), float64(pictures)/took.Seconds())
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
