//go:build unix

package faults

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Two producers say the same schedule at once, and two consumers are there when
// its times come: each time has one batch, whose lines are rendered once.
func TestTwoSchedulers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.file("night", lines(5, ""))
	one, two := r.work(), r.work()
	var cmds []*exec.Cmd
	for range 2 {
		cmd := r.command("enqueue", file, "--name", "night-{utc}", "--cron", "* * * * *")
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	opened := func() (names []string) {
		entries, err := os.ReadDir(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), "night-") && r.has(entry.Name()+"/batch.json") {
				names = append(names, entry.Name())
			}
		}
		return names
	}
	r.until("two slots have come", func() bool { return len(opened()) >= 2 })
	r.run(0, "schedules", "remove", "night")
	r.until("the batches are done, and the queue is empty", func() bool {
		for _, name := range opened() {
			if r.records(name) < 5 {
				return false
			}
		}
		return r.queued() == ""
	})
	one.stop()
	two.stop()
	names := opened()
	r.check(names...)
	r.once(5 * len(names))
	if len(names) > 3 {
		t.Errorf("batches %v: want one a minute", names)
	}
}
