package engine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plan writes a plan as one line: calls separated by " | ", each with its group
// (A, B, ..) and the jobs it takes, as job or, for a part of one, job:rows.
func plan(groups []queue, batches []batch) string {
	var calls []string
	for _, b := range batches {
		call := string(rune('A' + b.group))
		for _, p := range b.portions {
			call += fmt.Sprintf(" %d", p.job)
			if p.rows < groups[b.group].jobs[p.job] {
				call += fmt.Sprintf(":%d", p.rows)
			}
		}
		calls = append(calls, call)
	}
	return strings.Join(calls, " | ")
}

func TestShare(t *testing.T) {
	// A group with a limit, of which any calls may be made, or only full ones.
	partial := func(limit int, jobs ...int) queue { return queue{jobs, limit, false} }
	full := func(limit int, jobs ...int) queue { return queue{jobs, limit, true} }
	tests := []struct {
		name   string
		lanes  int
		groups []queue
		want   string
	}{
		{"nothing waits", 2, nil, ""},
		{"no lane", 0, []queue{partial(4, 1, 1)}, ""},
		{"one job, one row", 2, []queue{partial(4, 1)}, "A 0"},
		{"all in one call", 1, []queue{partial(8, 2, 1, 2)}, "A 0 2 1"},

		{"a pair stays together on one lane", 1, []queue{partial(4, 2)}, "A 0"},
		{"a lone pair goes to two lanes", 2, []queue{partial(4, 2)}, "A 0:1 | A 0:1"},
		{"a pair a lane", 2, []queue{partial(4, 2, 2)}, "A 0 | A 1"},
		{"a third lane wouldn't shorten two pairs", 3, []queue{partial(4, 2, 2)}, "A 0 | A 1"},
		{"four lanes halve two pairs", 4, []queue{partial(4, 2, 2)}, "A 0:1 | A 0:1 | A 1:1 | A 1:1"},
		{"a fourth lane wouldn't shorten three pairs", 4, []queue{partial(4, 2, 2, 2)}, "A 0 | A 1 | A 2"},

		{"even, though a pair is split", 2, []queue{partial(4, 2, 2, 2)}, "A 0 2:1 | A 1 2:1"},
		{"even, and no pair is split", 2, []queue{partial(4, 2, 1, 1, 2)}, "A 0 1 | A 3 2"},
		{"uneven by one", 2, []queue{partial(4, 1, 2, 2)}, "A 1 0 | A 2"},
		{"singles make room for pairs", 2, []queue{partial(4, 1, 1, 1, 2, 2, 1)}, "A 3 4 | A 0 1 2 5"},
		{"two full calls", 2, []queue{partial(4, 2, 2, 2, 2)}, "A 0 1 | A 2 3"},

		{"the rest waits", 1, []queue{partial(4, 2, 2, 2)}, "A 0 1"},
		{"a pair that goes over gives way to a single", 1, []queue{partial(4, 1, 2, 2, 1)}, "A 1 0 3"},
		{"and is cut where no single is there", 1, []queue{partial(4, 1, 2, 2, 2)}, "A 1 0 2:1"},
		{"the oldest never gives way", 1, []queue{partial(2, 3, 2, 1)}, "A 0:2"},
		{"one row a call", 2, []queue{partial(1, 2, 1)}, "A 0:1 | A 0:1"},
		{"three rows a job", 2, []queue{partial(4, 3, 3)}, "A 0 | A 1"},

		{"groups don't mix", 1, []queue{partial(8, 1), partial(8, 2)}, "A 0"},
		{"a lane a group", 2, []queue{partial(8, 2), partial(8, 2, 2)}, "A 0 | B 0 1"},
		{"the older group takes one turn, not both lanes", 2, []queue{partial(2, 2, 2), partial(2, 1)}, "A 0 | B 0"},
		{"turns go round", 3, []queue{partial(2, 2, 2), partial(2, 1)}, "A 0 | A 1 | B 0"},
		{"the spare lane goes to the larger call", 3, []queue{partial(8, 2), partial(8, 2, 2)}, "A 0 | B 0 | B 1"},
		{"and to the older of equals", 3, []queue{partial(8, 2), partial(8, 2)}, "A 0:1 | A 0:1 | B 0"},

		{"only full calls: none", 2, []queue{full(4, 2, 1), full(4, 1)}, ""},
		{"only full calls: one", 2, []queue{full(4, 2, 1), full(4, 2, 2, 2)}, "B 0 1"},
		{"only full calls: two of one group", 3, []queue{full(4, 2, 2, 2, 2, 2)}, "A 0 1 | A 2 3"},
		{"only full calls: not spread", 4, []queue{full(4, 2, 2)}, "A 0 1"},
		{"each group has its limit", 2, []queue{partial(4, 2, 2, 1), full(1, 1, 1)}, "A 0 1 | B 0"},
		{"only full calls but of one group", 2, []queue{partial(4, 1, 1), full(4, 2, 1), full(4, 2, 2)}, "A 0 1 | C 0 1"},
	}
	var p planner // one for all: a plan mustn't depend on the last
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plan(tt.groups, p.share(tt.lanes, tt.groups)); got != tt.want {
				t.Errorf("share(%d lanes, %v) = %q, want %q", tt.lanes, tt.groups, got, tt.want)
			}
		})
	}
}

// TestSharePlansAreSound holds, for any input, what the engine relies on.
func TestSharePlansAreSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.IntRange(1, 6).Draw(t, "lanes")
		groups := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) queue {
			return queue{
				jobs:  rapid.SliceOfN(rapid.IntRange(1, 3), 1, 12).Draw(t, "jobs"),
				limit: rapid.IntRange(1, 9).Draw(t, "limit"),
				full:  rapid.Bool().Draw(t, "full"),
			}
		}), 1, 4).Draw(t, "groups")

		var p planner
		batches := p.share(lanes, groups)
		if len(batches) > lanes {
			t.Fatalf("%d calls for %d lanes", len(batches), lanes)
		}
		taken := make([][]int, len(groups))
		for g, q := range groups {
			taken[g] = make([]int, len(q.jobs))
		}
		sizes := make([][]int, len(groups))
		for _, b := range batches {
			size, limit, seen := 0, groups[b.group].limit, map[int]bool{}
			for _, part := range b.portions {
				if seen[part.job] || part.rows < 1 {
					t.Fatalf("call %v takes job %d twice, or nothing of it", b.portions, part.job)
				}
				seen[part.job] = true
				taken[b.group][part.job] += part.rows
				size += part.rows
			}
			if size < 1 || size > limit || groups[b.group].full && size != limit {
				t.Fatalf("a call of %d rows, limit %d", size, limit)
			}
			sizes[b.group] = append(sizes[b.group], size)
		}
		for g, q := range groups {
			left := 0 // rows that wait on
			for j, n := range q.jobs {
				if taken[g][j] > n {
					t.Fatalf("%d rows taken of job %d's %d", taken[g][j], j, n)
				}
				left += n - taken[g][j]
			}
			if len(batches) < lanes && (left >= q.limit || left > 0 && !q.full) {
				t.Fatalf("%d rows of group %d wait beside a free lane", left, g)
			}
			calls := sizes[g]
			if len(calls) == 0 {
				if g == 0 && !q.full {
					t.Fatal("the oldest group waits on")
				}
				continue
			}
			if taken[g][0] < min(q.jobs[0], len(calls)*q.limit) {
				t.Fatalf("the oldest job waits on: %v", batches)
			}
			if calls[0]-calls[len(calls)-1] > 1 {
				t.Fatalf("calls of %v rows: not even", calls)
			}
		}
	})
}
