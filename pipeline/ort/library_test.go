package ort

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMissingLibrary opens in processes of their own, since one that has
// loaded ONNX Runtime stays with it.
func TestMissingLibrary(t *testing.T) {
	if path, ok := os.LookupEnv("DARKROOM_TEST_OPEN"); ok {
		_, err := Open(Options{Library: path})
		if err == nil {
			os.Exit(0)
		}
		os.Stdout.WriteString(err.Error())
		os.Exit(3)
	}
	empty := t.TempDir()
	words := filepath.Join(empty, "words.so")
	if err := os.WriteFile(words, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                              "run deploy/onnxruntime.sh",
		filepath.Join(empty, "gone.so"): "deploy/onnxruntime.sh",
		words:                           words,
	} {
		command := exec.Command(os.Args[0], "-test.run=^TestMissingLibrary$")
		command.Env = append(os.Environ(), "DARKROOM_TEST_OPEN="+path, "XDG_DATA_HOME="+empty)
		out, err := command.Output()
		var exit *exec.ExitError
		if path == "" && err == nil {
			t.Log("the system's loader knows an ONNX Runtime")
			continue
		}
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v: %s", path, err, out)
		}
	}
}
