//go:build unix

package faults

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What asynq v0.26 offers and loses tasks by is called nowhere: archiving all
// that waits trims a list and keeps what it names, groups can get lost after a
// failed enqueue, a unique task's lock stays behind after a conflict of ids and
// lapses while it waits, and an archive keeps 9,999 tasks.
func TestAsynqIsKeptFrom(t *testing.T) {
	t.Parallel()
	never := regexp.MustCompile(`\.(ArchiveAll\w+|ArchiveTask|Group|GroupAggregator\w*|Unique|RunAll\w+)\(|asynq\.SkipRetry|GroupAggregator:|NewPeriodicTaskManager|asynq\.NewScheduler`)
	files := 0
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(".."), name)
		if err != nil || !strings.Contains(string(data), "hibiken/asynq") {
			return err
		}
		files++
		for _, found := range never.FindAllString(string(data), -1) {
			t.Errorf("%s uses %s", name, found)
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files that use asynq, %v", files, err)
	}
}
