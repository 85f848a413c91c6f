package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch/redistest"
)

// TestWorkGoesOn ends a consumer in the middle of two pictures: they leave
// checkpoints, and the next consumer makes of them the pictures that a render
// without a break makes, to the last bit.
func TestWorkGoesOn(t *testing.T) {
	orttest.Open(t)
	url, _ := redistest.Start(t)
	dir := t.TempDir()
	file, store, whole := filepath.Join(dir, "night.jsonl"), filepath.Join(dir, "store"), filepath.Join(dir, "whole")
	batch := `{"prompt": "a red circle", "steps": 400, "sampler": "euler_ancestral"}
{"prompt": "a blue star on yellow", "steps": 400, "sampler": "dpmpp_2m"}
`
	if err := os.WriteFile(file, []byte(batch), 0o666); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--redis", url, "--store", store}
	work := darkroom(t, append([]string{"work", "--jobs", "2", "--grace", "1s", "--http", "127.0.0.1:0"}, flags...)...)
	address := serving(t, work, io.Discard)
	run(t, darkroom(t, append([]string{"enqueue", file}, flags...)...))
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		_, text := get(t, address+"/metrics")
		if now := parse(t, text); now["darkroom_jobs_running queue=default"] == 2 && now["darkroom_engine_rows_total"] > 60 {
			break
		}
	}
	if err := work.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	if kept, done := matches(t, filepath.Join(store, "checkpoints"), "*"), matches(t, filepath.Join(store, "night"), "*.png"); len(kept) == 0 || len(done) != 0 {
		t.Fatalf("after the signal there are %d checkpoints and %d pictures, want some and none", len(kept), len(done))
	}

	work = darkroom(t, append([]string{"work", "--jobs", "2"}, flags...)...)
	serving(t, work, io.Discard)
	run(t, darkroom(t, append([]string{"watch", "night"}, flags...)...))
	if err := work.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	if kept := matches(t, filepath.Join(store, "checkpoints"), "*"); len(kept) != 0 {
		t.Errorf("checkpoints are left: %v", kept)
	}
	run(t, darkroom(t, "render", file, "-o", whole))
	pictures := matches(t, filepath.Join(whole, "night"), "*.png")
	if len(pictures) != 2 {
		t.Fatalf("%d pictures, want 2", len(pictures))
	}
	for _, path := range pictures {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(store, "night", filepath.Base(path)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another than without a break: %v", filepath.Base(path), err)
		}
	}
}
