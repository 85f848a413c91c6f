package ort

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// script runs deploy/onnxruntime.sh with a data folder of its own and package
// clients that are stubs: each is a shell script, and all that aren't named fail.
func script(t *testing.T, data string, clients map[string]string, environment ...string) (stdout, stderr string, err error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the stubs stand for Linux's packages")
	}
	bin := t.TempDir()
	for _, client := range []string{"python", "python3", "pip", "pip3", "npm", "curl", "wget", "nvidia-smi"} {
		body, ok := clients[client]
		if !ok {
			body = "exit 1"
		}
		if err := os.WriteFile(filepath.Join(bin, client), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("../../deploy/onnxruntime.sh")
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "XDG_DATA_HOME="+data, "DARKROOM_ONNXRUNTIME=")
	command.Env = append(command.Env, environment...)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err = command.Run()
	return strings.TrimSpace(out.String()), complaints.String(), err
}

// TestScriptFindsTheLibrary holds that a second run fetches nothing, and that
// what it finds is what Open would.
func TestScriptFindsTheLibrary(t *testing.T) {
	data := t.TempDir()
	folder := filepath.Join(data, "darkroom", "onnxruntime")
	library := filepath.Join(folder, "1.32.0", "libonnxruntime.so.1.32.0")
	if err := os.MkdirAll(filepath.Dir(library), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(library, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, complaints, err := script(t, data, nil)
	if err != nil || out != library || complaints != "" {
		t.Errorf("it prints %q and %q: %v", out, complaints, err)
	}
	if found := installed(folder); len(found) != 1 || found[0] != out {
		t.Errorf("darkroom finds %v", found)
	}
	own := filepath.Join(data, "own.so")
	if _, complaints, err = script(t, data, nil, "DARKROOM_ONNXRUNTIME="+own); err == nil || !strings.Contains(complaints, own) {
		t.Errorf("a library that isn't there: %v %q", err, complaints)
	}
	if err := os.WriteFile(own, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, err = script(t, data, nil, "DARKROOM_ONNXRUNTIME="+own); err != nil || out != own {
		t.Errorf("a library of one's own: %v %q", err, out)
	}
}

// TestScriptChecksDigests holds that nothing is installed that isn't what was
// pinned, and that each channel is tried.
func TestScriptChecksDigests(t *testing.T) {
	data := t.TempDir()
	out, complaints, err := script(t, data, map[string]string{
		"npm":  `echo tampered > onnxruntime-node-1.30.0.tgz`,
		"curl": `while [ "$1" != --output ]; do shift; done; echo tampered > "$2"`,
	})
	if err == nil || out != "" {
		t.Errorf("it prints %q: %v", out, err)
	}
	for _, want := range []string{"with npm", "is pinned: it was not installed", "https://github.com/microsoft/onnxruntime/releases", "could not fetch"} {
		if !strings.Contains(complaints, want) {
			t.Errorf("it doesn't say %q:\n%s", want, complaints)
		}
	}
	if found := installed(filepath.Join(data, "darkroom", "onnxruntime")); found != nil {
		t.Errorf("installed: %v", found)
	}
	if left, _ := filepath.Glob(filepath.Join(data, "darkroom", "onnxruntime", ".*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
