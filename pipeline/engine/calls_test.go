package engine

import (
	"testing"
	"testing/synctest"
)

// TestCalls asserts the whole sequence of calls of small scripts, on a device
// whose call takes 1 ms and 1 ms a row.
func TestCalls(t *testing.T) {
	tests := []struct {
		name   string
		cfg    Config
		actors []actor
		want   []string
	}{
		{
			"a job alone uses both lanes for its pair", Config{Lanes: 2, Rows: 4},
			[]actor{{name: "a", group: "x", steps: []int{2, 2, 1}}},
			[]string{"0s 0 x: a", "0s 1 x: a", "2ms 0 x: a", "2ms 1 x: a", "4ms 0 x: a"},
		},
		{
			"jobs of any step count and guidance share calls; a late one joins the next", Config{Lanes: 1, Rows: 8},
			[]actor{
				{name: "a", group: "x", steps: times(3, 2)},
				{name: "b", group: "x", steps: times(2, 1)},
				{name: "c", group: "x", at: 2 * ms, steps: times(2, 2)},
			},
			[]string{"0s 0 x: a a b", "4ms 0 x: a a b c c", "10ms 0 x: a a c c"},
		},
		{
			"a job that computes on the host is waited for", Config{Lanes: 1, Rows: 4},
			[]actor{
				{name: "a", group: "x", steps: times(2, 1)},
				{name: "b", group: "x", host: 5 * ms, steps: times(2, 1)},
			},
			[]string{"5ms 0 x: a b", "13ms 0 x: a b"},
		},
		{
			"but not by a full call", Config{Lanes: 1, Rows: 2},
			[]actor{
				{name: "a", group: "x", steps: times(1, 1)},
				{name: "b", group: "x", steps: times(1, 1)},
				{name: "c", group: "x", host: 9 * ms, steps: times(1, 1)},
			},
			[]string{"0s 0 x: a b", "9ms 0 x: c"},
		},
		{
			"a job that leaves is not waited for", Config{Lanes: 1, Rows: 4},
			[]actor{
				{name: "a", group: "x", steps: times(2, 1)},
				{name: "b", group: "x", steps: times(1, 1)},
			},
			[]string{"0s 0 x: a b", "3ms 0 x: a"},
		},
		{
			"groups take turns by the age of their oldest row", Config{Lanes: 1, Rows: 2},
			[]actor{
				{name: "a", group: "x", steps: times(3, 1)},
				{name: "b", group: "y", steps: times(2, 1)},
				{name: "c", group: "x", steps: times(2, 1)},
				{name: "d", group: "x", steps: times(2, 1)},
			},
			// x is full at once, and again as soon as a is back: y, without a
			// full call, gives way. It does so once, though x is full at 6 ms too.
			[]string{"0s 0 x: a c", "3ms 0 x: a d", "6ms 0 y: b", "8ms 0 x: a c", "11ms 0 x: d", "13ms 0 y: b"},
		},
		{
			"a small group gets its turns beside one that is always full", Config{Lanes: 1, Rows: 2},
			[]actor{
				{name: "a", group: "x", host: ms, steps: times(3, 2)},
				{name: "b", group: "x", host: ms, steps: times(3, 2)},
				{name: "c", group: "x", host: ms, steps: times(3, 2)},
				{name: "z", group: "y", host: ms, steps: times(2, 1)},
			},
			// z's row is older than a's second at 10 ms, and gives way once.
			[]string{
				"1ms 0 x: a a", "4ms 0 x: b b", "7ms 0 x: c c", "10ms 0 x: a a", "13ms 0 y: z", "15ms 0 x: b b",
				"18ms 0 x: c c", "21ms 0 x: a a", "24ms 0 x: b b", "27ms 0 y: z", "29ms 0 x: c c",
			},
		},
		{
			"rows are spread evenly over the lanes", Config{Lanes: 2, Rows: 4},
			[]actor{
				{name: "a", group: "x", steps: times(2, 2)},
				{name: "b", group: "x", steps: times(2, 2)},
			},
			[]string{"0s 0 x: a a", "0s 1 x: b b", "3ms 0 x: a a", "3ms 1 x: b b"},
		},
		{
			"when fewer jobs than lanes are left, the last uses all", Config{Lanes: 2, Rows: 4},
			[]actor{
				{name: "a", group: "x", steps: times(1, 2)},
				{name: "b", group: "x", steps: times(3, 2)},
			},
			[]string{"0s 0 x: a a", "0s 1 x: b b", "3ms 0 x: b", "3ms 1 x: b", "5ms 0 x: b", "5ms 1 x: b"},
		},
		{
			"a pair larger than the limit takes two calls", Config{Lanes: 1, Rows: 1},
			[]actor{{name: "a", group: "x", steps: []int{2}}},
			[]string{"0s 0 x: a", "2ms 0 x: a"},
		},
		{
			"rows that lead to others go first, and their job meets the rest", Config{Lanes: 1, Rows: 4},
			[]actor{
				{name: "a", group: "x", steps: times(2, 1)},
				{name: "b", group: "x", before: []string{"z", "y"}, steps: times(2, 1)},
			},
			[]string{"0s 0 y: b", "2ms 0 z: b", "4ms 0 x: a b", "7ms 0 y: b", "9ms 0 z: b", "11ms 0 x: a b"},
		},
		{
			"jobs meet in what leads to their step, too", Config{Lanes: 1, Rows: 4},
			[]actor{
				{name: "a", group: "x", before: []string{"y"}, steps: times(1, 2)},
				{name: "b", group: "w", before: []string{"y"}, steps: times(1, 1)},
			},
			[]string{"0s 0 y: a a b", "4ms 0 x: a a", "7ms 0 w: b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(ms, ms)
				e := start(t, d, tt.cfg)
				play(t, e, tt.actors...)
				d.want(t, tt.want...)
			})
		})
	}
}
