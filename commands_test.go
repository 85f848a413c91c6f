package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/darkroom/darkroom/pipeline/ort"
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
	testscript.Run(t, testscript.Params{
		Dir: "cli/testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CHECKOUT", checkout)
			env.Setenv("XDG_DATA_HOME", dataHome) // where ONNX Runtime is
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("DARKROOM_ONNXRUNTIME", os.Getenv("DARKROOM_ONNXRUNTIME"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "onnxruntime" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			err := hasONNXRuntime()
			if err != nil && os.Getenv("DARKROOM_TEST_ALL") == "1" {
				return false, err
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
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

func hasONNXRuntime() error {
	_, err := ort.Open(ort.Options{Library: os.Getenv("DARKROOM_ONNXRUNTIME"), Device: "cpu"})
	return err
}
