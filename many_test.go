package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage/s3test"
)

// TestManyMachines has two consumers render the house model's pictures into a
// bucket, and kills one of them with -9 on the way. The bucket then holds what a
// render in one process puts into a folder.
func TestManyMachines(t *testing.T) {
	orttest.Open(t)
	bucket := s3test.Start(t)
	redis := redistest.StartServer(t, "--appendonly", "yes")
	dir := t.TempDir()
	file := filepath.Join(dir, "night.jsonl")
	if err := os.WriteFile(file, []byte(killBatch), 0o666); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(dir, "whole")
	run(t, darkroom(t, "render", file, "-o", whole))

	at := func(args ...string) *exec.Cmd {
		cmd := darkroom(t, args...)
		cmd.Env = append(append(cmd.Env, bucket.Environ()...), "DARKROOM_REDIS="+redis.URL, "DARKROOM_STORE="+bucket.URL("p"))
		return cmd
	}
	run(t, at("enqueue", file))
	killAfter(t, at("work", "--jobs", "4"), 1) // with three jobs in its hands
	rest := at("work", "--jobs", "2")
	lines := start(t, rest)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for lines.Scan() {
		}
	}()
	watch := at("watch", "night")
	var said bytes.Buffer
	watch.Stderr = &said
	if err := watch.Run(); err != nil {
		t.Fatalf("watch: %v\n%s", err, said.String())
	}
	if err := rest.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-heard
	if err := rest.Wait(); err != nil {
		t.Errorf("the consumer that stayed ended with %v", err)
	}

	pictures := func(dir string) map[string]string {
		found := map[string]string{}
		for name, data := range snapshot(t, dir) {
			if strings.HasPrefix(name, "night/0") && !strings.HasSuffix(name, ".json") {
				found[name] = data
			}
		}
		return found
	}
	want, got := pictures(whole), pictures(filepath.Join(bucket.Dir, "p"))
	if len(want) != 12 || !maps.Equal(want, got) {
		t.Errorf("in the bucket are %v, want %v, or their bits differ", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if records := matches(t, filepath.Join(bucket.Dir, "p", "night"), "0*.json"); len(records) != 12 {
		t.Errorf("%d records, want 12", len(records))
	}
	if left := matches(t, filepath.Join(bucket.Dir, "p", "checkpoints"), "*"); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}
