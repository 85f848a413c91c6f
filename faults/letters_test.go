//go:build unix

package faults

import (
	"fmt"
	"strings"
	"testing"
)

// More lines fail for good than asynq's archive holds, 9,999: each has its dead
// letter, since the archive is not where those are.
func TestManyDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t, "--appendfsync", "no")
	const failures = 10_300
	var text strings.Builder
	for i := range failures {
		text.WriteString(line(fmt.Sprint(i), "bad"))
	}
	r.enqueue("night", text.String())
	w := r.work("--jobs", "8")
	r.finish("night", w)
	if said := r.run(0, "status", "night"); !strings.Contains(said, fmt.Sprintf("%d (%d bad_job)", failures, failures)) {
		t.Errorf("status says\n%s", said)
	}
	if n, err := r.client.ZCard(t.Context(), "asynq:{"+queue+"}:archived").Result(); err != nil || n != 0 {
		t.Errorf("%d archived tasks, %v", n, err)
	}
}
