package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// row is a row of the fake device: whose it is, and how often it was evaluated.
type row struct {
	job, group string
	evaluated  int
}

// device is a fake whose call of n rows takes fixed + n*each, in the bubble's
// virtual time. It logs each call as it begins: "3ms 0 x: a a b" is a call on
// lane 0, 3 ms after the start, of group x, with two rows of job a, one of b.
type device struct {
	fixed, each time.Duration
	begin       time.Time

	mu     sync.Mutex
	log    []entry
	busy   map[int]bool
	faults []string       // what a call should never have seen
	limits map[string]int // of rows a call, by group, where set
	fail   func(rows []*row) error
	heed   bool // return as soon as the context is cancelled
}

// entry is a call in the device's log.
type entry struct {
	at    time.Duration
	lane  int
	group string
	jobs  []string
}

func (c entry) String() string {
	return fmt.Sprintf("%v %d %s: %s", c.at, c.lane, c.group, strings.Join(c.jobs, " "))
}

func newDevice(fixed, each time.Duration) *device {
	return &device{fixed: fixed, each: each, begin: time.Now(), busy: map[int]bool{}}
}

func (d *device) call(ctx context.Context, lane int, group string, rows []*row) error {
	names := make([]string, len(rows))
	d.mu.Lock()
	for i, r := range rows {
		names[i] = r.job
		if r.group != group {
			d.faults = append(d.faults, fmt.Sprintf("a row of group %s in a call of %s", r.group, group))
		}
	}
	slices.Sort(names)
	if limit := d.limits[group]; limit > 0 && len(rows) > limit {
		d.faults = append(d.faults, fmt.Sprintf("a call of %d rows, limit %d", len(rows), limit))
	}
	if d.busy[lane] {
		d.faults = append(d.faults, fmt.Sprintf("two calls on lane %d", lane))
	}
	d.busy[lane] = true
	d.log = append(d.log, entry{time.Since(d.begin).Round(time.Millisecond), lane, group, names})
	d.mu.Unlock()

	defer func() {
		d.mu.Lock()
		d.busy[lane] = false
		d.mu.Unlock()
	}()
	over := time.NewTimer(d.fixed + time.Duration(len(rows))*d.each)
	defer over.Stop()
	var cancelled <-chan struct{}
	if d.heed {
		cancelled = ctx.Done()
	}
	select {
	case <-over.C:
	case <-cancelled:
		return ctx.Err()
	}
	if d.fail != nil {
		if err := d.fail(rows); err != nil {
			return err
		}
	}
	for _, r := range rows {
		r.evaluated++
	}
	return nil
}

// want compares the calls with the script's.
func (d *device) want(t *testing.T, calls ...string) {
	t.Helper()
	for _, f := range d.faults {
		t.Error(f)
	}
	// Calls of the same moment are logged as the scheduler has it.
	slices.SortStableFunc(d.log, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.lane, b.lane))
	})
	var log []string
	for _, c := range d.log {
		log = append(log, c.String())
	}
	if !slices.Equal(log, calls) {
		t.Errorf("calls:\n\t%s\nwant:\n\t%s", strings.Join(log, "\n\t"), strings.Join(calls, "\n\t"))
	}
}

// start makes an engine on the device.
func start(t testing.TB, d *device, cfg Config) *Engine[string, *row] {
	t.Helper()
	e, err := New(cfg, d.call)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// actor is a job's script: it joins at a time and sends its steps' rows, after
// some time on the host each.
type actor struct {
	name, group string
	before      []string // groups that have as many rows before each step's own
	at, host    time.Duration
	steps       []int // rows of each
}

// times is n steps of so many rows.
func times(n, rows int) []int { return slices.Repeat([]int{rows}, n) }

// play runs the actors to their ends, then closes the engine.
func play(t *testing.T, e *Engine[string, *row], actors ...actor) {
	t.Helper()
	var wg sync.WaitGroup
	for i, a := range actors {
		wg.Go(func() {
			// Steps come a microsecond apart, so that their order is the
			// script's, whatever the machine's scheduler does; jobs that start
			// together have all joined before the first step.
			turn := time.Duration(i+1) * time.Microsecond
			time.Sleep(a.at)
			j, err := e.Join(append([]string{a.group}, a.before...)...)
			if err != nil {
				t.Error(err)
				return
			}
			defer j.Leave()
			for step, n := range a.steps {
				for i := len(a.before); i >= 0; i-- {
					time.Sleep(a.host + turn)
					if err := denoiseIn(t.Context(), j, i, a.name, n); err != nil {
						t.Errorf("%s, step %d: %v", a.name, step, err)
					}
				}
			}
		})
	}
	wg.Wait()
	e.Close()
}

// denoise sends n new rows and checks that each was evaluated once.
func denoise(ctx context.Context, j *Job[string, *row], name string, n int) error {
	return denoiseIn(ctx, j, 0, name, n)
}

func denoiseIn(ctx context.Context, j *Job[string, *row], in int, name string, n int) error {
	rows := make([]*row, n)
	for i := range rows {
		rows[i] = &row{job: name, group: j.groups[in].key}
	}
	if err := j.DenoiseIn(ctx, in, rows...); err != nil {
		return err
	}
	for i, r := range rows {
		if r.evaluated != 1 {
			return fmt.Errorf("row %d was evaluated %d times", i, r.evaluated)
		}
	}
	return nil
}
