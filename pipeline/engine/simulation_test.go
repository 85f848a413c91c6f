package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Two devices whose call of n rows costs fixed + n*each, fitted by least squares
// to measured figures:
//
//   - a V100 on Stable Diffusion 1.5 at 512 px draws 1, 4, 8 pictures in 2.7,
//     8.3, 15.7 s (published with ONNX Runtime): 50 calls of 2, 8, 16 rows of
//     54, 166, 314 ms;
//   - one CPU core on a UNet of 4.8 M parameters at 128 px: calls of 1, 2, 4, 8
//     rows take 13.8, 25.2, 47.2, 94.4 ms.
var simulated = []struct {
	name        string
	fixed, each time.Duration
	rows        int
}{
	{"V100", 17060 * time.Microsecond, 18570 * time.Microsecond, 16},
	{"CPU", 2000 * time.Microsecond, 11490 * time.Microsecond, 8},
}

// simulatedJob is what matters of a job here.
type simulatedJob struct {
	group, steps, rows int
	end                time.Duration
}

// mixedJobs are jobs of 8 to 50 steps, half of them with guidance, in four
// groups that have a half, a quarter, 15 % and a tenth of them.
func mixedJobs(n int) []simulatedJob {
	rng := rand.New(rand.NewPCG(1, 2))
	jobs := make([]simulatedJob, n)
	for i := range jobs {
		p := rng.Float64()
		group := 0
		for _, edge := range []float64{.5, .75, .9} {
			if p >= edge {
				group++
			}
		}
		jobs[i] = simulatedJob{group: group, steps: 8 + rng.IntN(43), rows: 1 + rng.IntN(2)}
	}
	return jobs
}

// simulate runs the jobs, some number of them at a time, on a device of one
// lane, fills in when they ended, and returns what the engine did.
func simulate(t testing.TB, fixed, each time.Duration, limit, concurrent int, jobs []simulatedJob) Stats {
	e, err := New(Config{Lanes: 1, Rows: limit}, func(_ context.Context, _ int, _ int, rows []struct{}) error {
		time.Sleep(fixed + time.Duration(len(rows))*each)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	next := make(chan *simulatedJob)
	done := make(chan error)
	for range concurrent {
		go func() {
			for s := range next {
				done <- func() error {
					j, err := e.Join(s.group)
					if err != nil {
						return err
					}
					defer j.Leave()
					for range s.steps {
						if err := j.Denoise(context.Background(), make([]struct{}, s.rows)...); err != nil {
							return err
						}
					}
					s.end = time.Since(begin)
					return nil
				}()
			}
		}()
	}
	go func() {
		for i := range jobs {
			next <- &jobs[i]
		}
		close(next)
	}()
	for range jobs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	e.Close()
	return e.Stats()
}

// lowerBound is the time that no schedule can beat: that of the longest job's
// calls alone, and that of full calls for all rows of each group.
func lowerBound(fixed, each time.Duration, limit int, jobs []simulatedJob) time.Duration {
	var alone time.Duration
	rows := map[int]int{}
	for _, j := range jobs {
		alone = max(alone, time.Duration(j.steps)*(fixed+time.Duration(j.rows)*each))
		rows[j.group] += j.steps * j.rows
	}
	var full time.Duration
	for _, n := range rows {
		full += fixed*time.Duration(ceil(n, limit)) + each*time.Duration(n)
	}
	return max(alone, full)
}

// roundRobin is when each job would end if one row of each were evaluated in
// turn, at a price.
func roundRobin(price time.Duration, jobs []simulatedJob) []time.Duration {
	left := make([]int, len(jobs))
	ends := make([]time.Duration, len(jobs))
	for i, j := range jobs {
		left[i] = j.steps * j.rows
	}
	var now time.Duration
	for busy := true; busy; {
		busy = false
		for i := range left {
			if left[i] > 0 {
				busy = true
				now += price
				if left[i]--; left[i] == 0 {
					ends[i] = now
				}
			}
		}
	}
	return ends
}

// TestSimulatedDevice holds that 1,000 mixed jobs, all there from the start,
// take at most 2 % longer than the lower bound, and none of them longer than
// twice what round robin, row by row, would give it: even if that evaluated
// single rows at the price they have in full calls.
func TestSimulatedDevice(t *testing.T) {
	for _, dev := range simulated {
		t.Run(dev.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				jobs := mixedJobs(1000)
				stats := simulate(t, dev.fixed, dev.each, dev.rows, len(jobs), jobs)
				bound := lowerBound(dev.fixed, dev.each, dev.rows, jobs)
				last := slices.MaxFunc(jobs, func(a, b simulatedJob) int { return int(a.end - b.end) })
				over := float64(last.end)/float64(bound) - 1

				worst := func(price time.Duration) float64 {
					w := 0.
					for i, end := range roundRobin(price, jobs) {
						w = max(w, float64(jobs[i].end)/float64(end))
					}
					return w
				}
				single, full := worst(dev.fixed+dev.each), worst(dev.fixed/time.Duration(dev.rows)+dev.each)
				t.Logf("%v, %.2f %% over the bound; fill %.1f %%, occupancy %.1f %%; longest against round robin %.2f, at full calls' price %.2f",
					last.end, 100*over, 100*stats.Fill(), 100*stats.Occupancy(), single, full)
				if over > .02 {
					t.Errorf("%.2f %% over the lower bound, want at most 2 %%", 100*over)
				}
				if full > 2 {
					t.Errorf("a job took %.2f times what round robin would give it, want at most 2", full)
				}
			})
		})
	}
}

// TestSimulatedDeviceFewAtATime holds the same where only so many jobs are
// active at once, as a consumer has them. The bound knows nothing of how few
// there are: 16 jobs in four groups can't fill calls of 16 rows.
func TestSimulatedDeviceFewAtATime(t *testing.T) {
	for _, dev := range simulated {
		for _, tt := range []struct {
			concurrent int
			over       float64
		}{{16, .1}, {64, .02}, {256, .02}} {
			t.Run(fmt.Sprintf("%s/%d", dev.name, tt.concurrent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					jobs := mixedJobs(1000)
					begin := time.Now()
					stats := simulate(t, dev.fixed, dev.each, dev.rows, tt.concurrent, jobs)
					over := float64(time.Since(begin))/float64(lowerBound(dev.fixed, dev.each, dev.rows, jobs)) - 1
					t.Logf("%.2f %% over the bound; fill %.1f %%", 100*over, 100*stats.Fill())
					if over > tt.over {
						t.Errorf("%.2f %% over the lower bound, want at most %.0f %%", 100*over, 100*tt.over)
					}
				})
			})
		}
	}
}
