package engine

import (
	"slices"
	"time"
)

// Stats is what an engine has done since New.
type Stats struct {
	Lanes  int    // calls that may run side by side
	Calls  uint64 // calls fired
	Rows   uint64 // rows fired
	Slots  uint64 // rows that these calls could have taken, by their groups' limits
	Active int    // jobs between Join and Leave now

	Elapsed time.Duration   // time with at least one active job
	Busy    []time.Duration // by lane: time inside calls, those in flight included
	Idle    time.Duration   // time of free lanes, summed, while rows waited
}

// Since gives an interval's stats from those at its beginning and its end.
func (s Stats) Since(begin Stats) Stats {
	s.Calls -= begin.Calls
	s.Rows -= begin.Rows
	s.Slots -= begin.Slots
	s.Elapsed -= begin.Elapsed
	s.Idle -= begin.Idle
	s.Busy = slices.Clone(s.Busy)
	for lane := range s.Busy {
		s.Busy[lane] -= begin.Busy[lane]
	}
	return s
}

// Fill is the share of the calls' rows that were used, 0 .. 1: rows fired over
// rows possible. It is low where there are fewer jobs than places, too.
func (s Stats) Fill() float64 { return ratio(float64(s.Rows), float64(s.Slots)) }

// Occupancy is the share of the lanes' time that was spent inside calls, of the
// time in which they were or rows waited for them, 0 .. 1.
func (s Stats) Occupancy() float64 { return ratio(float64(s.busy()), float64(s.busy()+s.Idle)) }

// Utilization is the share of the lanes' time that was spent inside calls, of
// all the time in which any job was active, 0 .. 1. Beyond what Occupancy counts
// it is lowered by the host's time between steps and by lanes for which there
// were no jobs.
func (s Stats) Utilization() float64 {
	return ratio(float64(s.busy()), float64(s.Elapsed)*float64(s.Lanes))
}

func (s Stats) busy() time.Duration {
	var sum time.Duration
	for _, b := range s.Busy {
		sum += b
	}
	return sum
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Stats may be called at any time, also after Close.
func (e *Engine[K, R]) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.account()
	s := Stats{
		Lanes:   e.cfg.Lanes,
		Calls:   e.meter.calls,
		Rows:    e.meter.rows,
		Slots:   e.meter.slots,
		Active:  e.active,
		Elapsed: e.meter.elapsed,
		Idle:    e.meter.idle,
		Busy:    make([]time.Duration, len(e.lanes)),
	}
	for i, l := range e.lanes {
		s.Busy[i] = l.busy
		if l.running {
			s.Busy[i] += e.meter.last.Sub(l.began)
		}
	}
	return s
}

// meter is the running sums behind Stats.
type meter struct {
	calls, rows, slots uint64
	elapsed, idle      time.Duration
	last               time.Time // up to when the sums are right
}

// account brings the sums up to now. It is called before a change of the free
// lanes, of whether rows wait, and of whether jobs are active.
func (e *Engine[K, R]) account() {
	now := time.Now()
	d := now.Sub(e.meter.last)
	e.meter.last = now
	if e.active > 0 {
		e.meter.elapsed += d
	}
	if e.waiting > 0 {
		e.meter.idle += d * time.Duration(e.free)
	}
}
