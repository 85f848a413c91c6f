package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/darkroom/darkroom/pipeline/ort"
	"github.com/darkroom/darkroom/producer/batch/redistest"
)

// beMain has the test binary act as darkroom itself.
const beMain = "DARKROOM_TEST_BE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"darkroom": main})
}

// TestCommands types what the scripts hold and compares what comes back.
func TestCommands(t *testing.T) {
	dataHome := os.Getenv("XDG_DATA_HOME")
	if home, err := os.UserHomeDir(); err == nil && dataHome == "" {
		dataHome = filepath.Join(home, ".local", "share")
	}
	checkout, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	redisURL := ""
	if _, err := exec.LookPath("redis-server"); err == nil || os.Getenv("DARKROOM_TEST_ALL") == "1" {
		redisURL, _ = redistest.Start(t)
	}
	var scripts atomic.Int32
	testscript.Run(t, testscript.Params{
		Dir: "cli/testdata/script",
		Setup: func(env *testscript.Env) error {
			if redisURL != "" { // a database of its own for each script
				env.Setenv("REDIS", fmt.Sprintf("%s?db=%d", redisURL, scripts.Add(1)-1))
			}
			env.Setenv("CHECKOUT", checkout)
			env.Setenv("XDG_DATA_HOME", dataHome) // where ONNX Runtime is
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("DARKROOM_ONNXRUNTIME", os.Getenv("DARKROOM_ONNXRUNTIME"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "redis" {
				return redisURL != "", nil
			}
			if name != "onnxruntime" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			err := hasONNXRuntime()
			if err != nil && os.Getenv("DARKROOM_TEST_ALL") == "1" {
				return false, err
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status, "soon": soon, "await": await},
	})
}

// status runs a command and holds its exit status: status 2 darkroom render ...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: status N command [args]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// soon runs a command with --at and a time that comes soon: soon command [args].
// That is in two seconds, or in more where the command took longer than that to
// look at its time.
func soon(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || neg {
		ts.Fatalf("usage: soon command [args]")
	}
	for lead := 2 * time.Second; ; lead *= 2 {
		at := time.Now().Add(lead).UTC().Format(time.RFC3339)
		err := ts.Exec(args[0], slices.Concat(args[1:], []string{"--at", at})...)
		if err == nil {
			return
		}
		if lead > time.Minute || !strings.Contains(ts.ReadFile("stderr"), " is past") {
			ts.Fatalf("%v", err)
		}
	}
}

// await waits until a file is there and holds a text: await FILE [TEXT].
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 || neg {
		ts.Fatalf("usage: await FILE [TEXT]")
	}
	late := time.After(3 * time.Minute)
	for tick := time.Tick(20 * time.Millisecond); ; {
		if data, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && strings.Contains(string(data), strings.Join(args[1:], "")) {
			return
		}
		select {
		case <-tick:
		case <-late:
			ts.Fatalf("%s doesn't come", strings.Join(args, " with "))
		}
	}
}

func hasONNXRuntime() error {
	_, err := ort.Open(ort.Options{Library: os.Getenv("DARKROOM_ONNXRUNTIME"), Device: "cpu"})
	return err
}
