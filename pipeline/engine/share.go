package engine

// batch is what one call takes of one group.
type batch struct {
	group    int
	portions []portion
	room     int // rows still to be placed, while planning
}

// queue is the waiting rows of a group.
type queue struct {
	jobs  []int // how many each job has, oldest first
	limit int   // the most rows of a call
	full  bool  // only full calls are to be made of them
}

func (q queue) rows() int {
	rows := 0
	for _, n := range q.jobs {
		rows += n
	}
	return rows
}

// portion is what a call takes of one job's waiting rows.
type portion struct{ job, rows int }

// planner holds nothing but the buffers of the last plan.
type planner struct {
	calls   []int
	takes   []int
	batches []batch
}

// share is the rule by which waiting rows become calls: a pure function, the
// planner only lends its buffers, and the result is valid until the next plan.
// The groups come with the oldest first, and no more than lanes calls come back.
//
//   - Groups take turns, a call each, as long as there are lanes and rows.
//   - Lanes left over make the largest calls smaller, where that shortens them:
//     6 rows go to two lanes as 3+3, to four as 2+2+2, a lone job's two rows as
//     1+1.
//   - A group's rows are spread evenly over its calls. Rows are taken by age; a
//     job that would go over the limit gives way to a younger one that fits,
//     unless it is the oldest.
//   - A job's rows stay in one call where an even spread has room for them.
func (p *planner) share(lanes int, groups []queue) []batch {
	p.deal(lanes, groups)
	p.batches = p.batches[:0]
	for g, q := range groups {
		if p.calls[g] > 0 {
			p.pack(g, q, p.calls[g])
		}
	}
	return p.batches
}

// deal sets how many calls each group gets.
func (p *planner) deal(lanes int, groups []queue) {
	p.calls = p.calls[:0]
	for range groups {
		p.calls = append(p.calls, 0)
	}
	for dealt := true; dealt; {
		dealt = false
		for g, q := range groups {
			rest := q.rows() - p.calls[g]*q.limit
			if lanes > 0 && (rest >= q.limit || rest > 0 && !q.full) {
				p.calls[g]++
				lanes--
				dealt = true
			}
		}
	}
	for lanes > 0 {
		// One more call helps only if the largest gets smaller; for some sizes
		// that takes several.
		best, largest, price := -1, 1, 0
		for g, q := range groups {
			if p.calls[g] == 0 || q.full {
				continue
			}
			rows := q.rows()
			size := ceil(rows, p.calls[g])
			if size <= largest {
				continue
			}
			if more := ceil(rows, size-1) - p.calls[g]; more <= lanes {
				best, largest, price = g, size, more
			}
		}
		if best < 0 {
			return
		}
		p.calls[best] += price
		lanes -= price
	}
}

// pack plans a group's calls.
func (p *planner) pack(group int, q queue, calls int) {
	rows := min(q.rows(), calls*q.limit)
	first := len(p.batches)
	for c := range calls {
		p.open(group, (rows+calls-1-c)/calls)
	}
	batches := p.batches[first:]

	p.takes = p.takes[:0]
	left := rows
	for i, n := range q.jobs {
		if i > 0 && n > left {
			n = 0
		}
		n = min(n, left)
		p.takes = append(p.takes, n)
		left -= n
	}
	for i, n := range q.jobs {
		if left > 0 && p.takes[i] == 0 {
			p.takes[i] = min(n, left)
			left -= p.takes[i]
		}
	}

	// Jobs of several rows choose first; single rows, and jobs for which no
	// call has room, fill what is left.
	for i, n := range p.takes {
		if n < 2 {
			continue
		}
		for b := range batches {
			if batches[b].room >= n {
				batches[b].take(i, n)
				p.takes[i] = 0
				break
			}
		}
	}
	for i, n := range p.takes {
		for b := range batches {
			if m := min(n, batches[b].room); m > 0 {
				batches[b].take(i, m)
				n -= m
			}
		}
	}
}

// open adds an empty batch, in the place of an old one where there is one.
func (p *planner) open(group, room int) {
	if len(p.batches) == cap(p.batches) {
		p.batches = append(p.batches, batch{})
	} else {
		p.batches = p.batches[:len(p.batches)+1]
	}
	b := &p.batches[len(p.batches)-1]
	b.group, b.room, b.portions = group, room, b.portions[:0]
}

func (b *batch) take(job, rows int) {
	b.portions = append(b.portions, portion{job, rows})
	b.room -= rows
}

func ceil(n, d int) int { return (n + d - 1) / d }
