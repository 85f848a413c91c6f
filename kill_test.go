package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch/redistest"
)

// killBatch is a batch of 12 pictures with several samplers, one of them with
// noise on the way.
const killBatch = `{"prompt": "a red circle", "steps": 4, "n": 4}
{"prompt": "a blue star on yellow", "steps": 5, "sampler": "euler_ancestral", "n": 4}
{"prompt": "a green heart", "steps": 3, "sampler": "heun", "n": 2}
{"prompt": "a green heart", "steps": 3, "format": "jpeg", "n": 2}
`

// TestKill kills a render with -9 again and again, at random pictures, and
// holds the folder that it ends with against that of a render without a break.
func TestKill(t *testing.T) {
	orttest.Open(t)
	t.Run("queue in the process", func(t *testing.T) { testKill(t) })
	t.Run("redis-server", func(t *testing.T) {
		url, _ := redistest.Start(t)
		testKill(t, "--redis", url)
	})
}

func testKill(t *testing.T, flags ...string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "night.jsonl")
	if err := os.WriteFile(file, []byte(killBatch), 0o666); err != nil {
		t.Fatal(err)
	}
	whole, broken := filepath.Join(dir, "whole"), filepath.Join(dir, "broken")
	render := func(out string) *exec.Cmd {
		return darkroom(t, append([]string{"render", file, "-o", out}, flags...)...)
	}
	run(t, render(whole))

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for len(matches(t, filepath.Join(broken, "night"), "0*.json")) < 9 {
		killAfter(t, render(broken), random.IntN(3))
	}
	run(t, render(broken))

	want, got := snapshot(t, whole), snapshot(t, broken)
	for name, data := range want {
		if got[name] != data {
			t.Errorf("%s after kills:\n%.400s\nwant\n%.400s", name, got[name], data)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is there after kills only", name)
	}
	if pictures := len(matches(t, filepath.Join(whole, "night"), "0*.*g")); pictures != 12 {
		t.Errorf("%d pictures, want 12", pictures)
	}
}

// TestInterrupt sends one signal in the middle: the run ends in good order and
// says how to go on.
func TestInterrupt(t *testing.T) {
	orttest.Open(t)
	dir := t.TempDir()
	cmd := darkroom(t, "render", "-p", "a red circle", "--n", "40", "-o", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	lines := start(t, cmd)
	lines.Scan()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit status 130\n%s", err, stderr.String())
	}
	if !strings.Contains(stderr.String(), "the same command goes on from there") {
		t.Errorf("stderr doesn't say how to go on:\n%s", stderr.String())
	}
	if done := len(matches(t, filepath.Join(dir, "prompt"), "*.png")); done < 1 || done > 39 {
		t.Errorf("%d pictures of 40 are there, want some", done)
	}
}

// killAfter starts cmd and kills it with -9 after so many pictures' paths.
func killAfter(t *testing.T, cmd *exec.Cmd, paths int) {
	t.Helper()
	lines := start(t, cmd)
	for range paths {
		lines.Scan()
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
}

// snapshot reads all files of an output folder. Records lose their timing,
// which differs from run to run, and nothing else.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, ".darkroom/") {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".json") {
			var object map[string]any
			if err := json.Unmarshal(data, &object); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			delete(object, "timing")
			if data, err = json.Marshal(object); err != nil {
				return err
			}
		}
		files[name] = string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// darkroom is the command with its arguments, in a process of its own.
func darkroom(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), beMain+"=1")
	cmd.Stderr = t.Output()
	return cmd
}

// start starts cmd and returns the lines of its stdout.
func start(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(stdout)
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func matches(t testing.TB, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
