package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// done marks the rows of a step that is over: no call may touch them again.
const done = 100

// life is a random job: an actor that may be cancelled, or leave in mid-step.
type life struct {
	actor
	cancelAt, leaveAt time.Duration // 0 for never
}

// world is a random engine and all that happens to it.
type world struct {
	cfg     Config
	limits  map[string]int // of the groups
	lives   []life
	broken  map[int]string // calls that fail, by their number: "error" or "panic"
	heed    bool
	closeAt time.Duration // 0 for after the last job
}

func drawWorld(t *rapid.T) world {
	moment := func(label string) time.Duration {
		return time.Duration(rapid.IntRange(0, 60).Draw(t, label)) * ms / 2
	}
	maybe := func(label string) time.Duration { // rather never than late
		if rapid.IntRange(0, 3).Draw(t, label+"?") > 0 {
			return 0
		}
		return moment(label) + 1
	}
	w := world{
		cfg: Config{
			Lanes: rapid.IntRange(1, 4).Draw(t, "lanes"),
			Rows:  rapid.IntRange(1, 6).Draw(t, "rows"),
		},
		broken:  rapid.MapOfN(rapid.IntRange(0, 30), rapid.SampledFrom([]string{"error", "panic"}), 0, 6).Draw(t, "broken calls"),
		heed:    rapid.Bool().Draw(t, "heeds cancellation"),
		closeAt: maybe("close"),
	}
	w.limits = map[string]int{"x": w.cfg.Rows, "y": w.cfg.Rows, "w": w.cfg.Rows, "z": rapid.IntRange(1, 8).Draw(t, "limit of z")}
	for i := range rapid.IntRange(1, 14).Draw(t, "jobs") {
		w.lives = append(w.lives, life{
			actor: actor{
				name:   fmt.Sprint(i),
				group:  rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "group"),
				before: rapid.SliceOfN(rapid.SampledFrom([]string{"y", "z", "w"}), 0, 2).Draw(t, "groups before"),
				at:     moment("join"),
				host:   rapid.SampledFrom([]time.Duration{0, 0, ms, 7 * ms}).Draw(t, "host"),
				steps:  rapid.SliceOfN(rapid.IntRange(1, 3), 0, 8).Draw(t, "steps"),
			},
			cancelAt: maybe("cancel"),
			leaveAt:  maybe("leave"),
		})
	}
	return w
}

// run plays the world in a bubble and returns what was wrong with it. That no
// job waits for ever and no goroutine outlives Close is the bubble's to say: it
// panics where all that is left in it is blocked.
func (w world) run(t *testing.T) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		var (
			d      = newDevice(ms, ms)
			calls  int
			failed = map[*row]bool{}
			over   []*row // rows of steps that are over
			wg     sync.WaitGroup
		)
		d.limits, d.heed = w.limits, w.heed
		errBroken := errors.New("a broken call")
		d.fail = func(rows []*row) error {
			d.mu.Lock()
			how := w.broken[calls]
			calls++
			for _, r := range rows {
				failed[r] = how != ""
			}
			d.mu.Unlock()
			switch how {
			case "panic":
				panic(errBroken)
			case "error":
				return errBroken
			}
			return nil
		}
		fault := func(format string, args ...any) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.faults = append(d.faults, fmt.Sprintf(format, args...))
		}
		e := start(t, d, w.cfg)
		e.Limit("z", w.limits["z"])

		live := func(l life) {
			time.Sleep(l.at)
			groups := append([]string{l.group}, l.before...)
			j, err := e.Join(groups...)
			if err != nil {
				if err != ErrClosed || w.closeAt == 0 {
					fault("Join: %v", err)
				}
				return
			}
			defer j.Leave()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if l.cancelAt > 0 {
				defer time.AfterFunc(l.cancelAt, cancel).Stop()
			}
			if l.leaveAt > 0 {
				defer time.AfterFunc(l.leaveAt, j.Leave).Stop()
			}
			for step, n := range l.steps {
				time.Sleep(l.host)
				rows := make([]*row, n)
				in := (len(l.before) + step) % len(groups)
				for i := range rows {
					rows[i] = &row{job: l.name, group: groups[in]}
				}
				err := j.DenoiseIn(ctx, in, rows...)
				broken := false
				d.mu.Lock()
				over = append(over, rows...)
				for _, r := range rows {
					broken = broken || failed[r]
				}
				d.mu.Unlock()
				for _, r := range rows {
					if r.evaluated > 1 || err == nil && r.evaluated == 0 {
						fault("job %s: a row was evaluated %d times, error %v", l.name, r.evaluated, err)
					}
					r.evaluated = done
				}
				var p *PanicError
				switch {
				case err == nil:
				case errors.As(err, &p) && !broken, errors.Is(err, errBroken) && !broken:
					fault("job %s: %v, though its own calls went well", l.name, err)
				case errors.As(err, &p), errors.Is(err, errBroken):
					continue // the next step may go well
				case err == context.Canceled && l.cancelAt > 0, err == ErrLeft && l.leaveAt > 0, err == ErrClosed && w.closeAt > 0:
					return
				default:
					fault("job %s: %v", l.name, err)
				}
			}
		}
		for _, l := range w.lives {
			wg.Go(func() { live(l) })
		}
		if w.closeAt > 0 {
			time.Sleep(w.closeAt)
			e.Close()
		}
		wg.Wait()
		e.Close()
		for _, r := range over {
			if r.evaluated != done {
				fault("job %s: a row was evaluated after its step was over", r.job)
			}
		}
		if s := e.Stats(); len(e.groups) > 0 || len(e.ready) > 0 || e.waiting != 0 || e.computing != 0 || s.Active != 0 || e.free != w.cfg.Lanes {
			fault("at the end: %d groups, %d ready, %d rows waiting, %d jobs computing, %d active, %d lanes free",
				len(e.groups), len(e.ready), e.waiting, e.computing, s.Active, e.free)
		}
		faults = d.faults
	})
	return faults
}

// TestRandomLives lets random jobs join, step, fail, be cancelled and leave,
// beside broken calls and an early Close: no job waits for ever, no row is lost
// or evaluated twice, the rows of a call agree on their group, limits hold,
// errors reach whom they concern, and nothing is left at the end.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		for _, f := range drawWorld(rt).run(t) {
			rt.Error(f)
		}
	})
}
