package engine

import (
	"cmp"
	"slices"
)

// dispatch fires what the rule allows now. It is called, with the lock held,
// after every change that may allow more.
func (e *Engine[K, R]) dispatch() {
	if e.free > 0 && e.waiting > 0 {
		// Rows still to come are worth waiting for, but for a full call, and
		// not at all once no more are let in.
		more := e.computing > 0 && !e.closed
		if !more || slices.ContainsFunc(e.ready, func(g *group[K, R]) bool { return g.rows >= g.limit }) {
			e.fire(more)
		}
	}
	if e.closed && e.waiting == 0 && e.free == len(e.lanes) {
		for _, l := range e.lanes {
			l.stop()
		}
	}
}

// fire hands waiting rows to free lanes as the planner shares them out.
//
// With more rows to come, a group without a full call gives way to those that
// have one: by its next turn it may have it. It does so once; else a busy group
// whose next full call always stands ready would keep it waiting for ever.
func (e *Engine[K, R]) fire(more bool) {
	e.account()
	slices.SortFunc(e.ready, func(a, b *group[K, R]) int {
		if a.leads != b.leads {
			if a.leads {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.head.age, b.head.age)
	})
	e.queues = e.queues[:0]
	for _, g := range e.ready {
		// The free lanes can't take more; one call's worth beyond lets the
		// planner choose what completes the last.
		g.look((e.free + 1) * g.limit)
		e.queues = append(e.queues, queue{g.sizes, g.limit, more && !g.gaveWay})
	}
	next, youngest := 0, 0
	for _, batch := range e.planner.share(e.free, e.queues) {
		for e.lanes[next].running {
			next++
		}
		e.load(e.lanes[next], e.ready[batch.group], batch.portions)
		youngest = batch.group
	}
	for i, g := range e.ready {
		g.gaveWay = !g.fired && (g.gaveWay || i < youngest)
		g.fired = false
		clear(g.seen)
	}
	e.ready = slices.DeleteFunc(e.ready, func(g *group[K, R]) bool { return g.rows == 0 })
}

// load moves the rows of one call from their group to a lane and starts it.
func (e *Engine[K, R]) load(l *lane[K, R], g *group[K, R], portions []portion) {
	g.fired = true
	for _, p := range portions {
		j := g.seen[p.job]
		l.rows = append(l.rows, j.rows[j.fired:j.fired+p.rows]...)
		l.parts = append(l.parts, part[K, R]{j, p.rows})
		j.fired += p.rows
		g.rows -= p.rows
		e.waiting -= p.rows
		if j.fired == len(j.rows) {
			g.remove(j)
		}
	}
	e.meter.calls++
	e.meter.rows += uint64(len(l.rows))
	e.meter.slots += uint64(g.limit)
	e.free--
	l.start(g.key, e.meter.last)
}
