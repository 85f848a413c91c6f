package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/darkroom/darkroom"

// allowed is the house's plan: which rooms each room may look into, sub-rooms
// by their own line. What is not named here may import nothing of ours.
var allowed = map[string][]string{
	".":                    {"cli"},
	"cli":                  {"producer", "producer/batch", "consumer", "consumer/metrics", "pipeline", "pipeline/job", "pipeline/ort", "pipeline/sampler", "storage", "models"},
	"producer":             {"producer/batch", "pipeline/job", "pipeline/imaging", "storage"},
	"producer/batch":       {"pipeline/job", "pipeline/imaging", "pipeline/spelling", "storage"},
	"consumer":             {"consumer/metrics", "producer/batch", "pipeline/job", "storage"},
	"consumer/metrics":     {"producer/batch", "storage"},
	"pipeline":             {"pipeline/engine", "pipeline/sampler", "pipeline/noise", "pipeline/clip", "pipeline/job", "pipeline/imaging", "pipeline/onnx", "pipeline/prompt", "pipeline/tiling", "pipeline/safetensors", "pipeline/lora", "pipeline/embedding", "pipeline/spelling"},
	"pipeline/job":         {"pipeline/sampler", "pipeline/prompt", "pipeline/spelling"},
	"pipeline/sampler":     {"pipeline/spelling"},
	"pipeline/imaging":     {"pipeline/job"},
	"pipeline/tiling":      {"pipeline/imaging"},
	"pipeline/onnx":        {"pipeline/half"},
	"pipeline/safetensors": {"pipeline/half"},
	"pipeline/lora":        {"pipeline/safetensors"},
	"pipeline/embedding":   {"pipeline/safetensors"},
	"pipeline/ort":         {"pipeline", "pipeline/half", "pipeline/job", "pipeline/onnx"},
	"pipeline/ort/orttest": {"pipeline/ort"},
	"storage/storagetest":  {"storage"},
	"models/score/cmd":     {"models/score"},

	"producer/batch/redistest": {"storage/porttest"},
	"storage/s3test":           {"storage/porttest"},

	"pipeline/safetensors/safetensorstest": {"pipeline/safetensors"},
}

// TestImports holds the plan against what the code imports, without its tests.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		room := name(p.ImportPath)
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			if other := name(imp); !slices.Contains(allowed[room], other) {
				t.Errorf("%s imports %s: the house's plan has no such door", room, other)
			}
		}
	}
}

// TestCgo holds that one package only needs a C compiler, and that one file of
// cli only, with a build tag, looks into it: every other command works in a
// static binary.
func TestCgo(t *testing.T) {
	for _, p := range packages(t) {
		room := name(p.ImportPath)
		if slices.Contains(p.Imports, "github.com/yalue/onnxruntime_go") && room != "pipeline/ort" {
			t.Errorf("%s imports the ONNX Runtime binding, which is pipeline/ort's alone", room)
		}
	}
	cmd := exec.Command("go", "list", "-deps", "-e", ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing what a static binary holds: %v", err)
	}
	if strings.Contains(string(out), module+"/pipeline/ort\n") {
		t.Error("with CGO_ENABLED=0 the binary still reaches pipeline/ort")
	}
	if !strings.Contains(string(out), "\ntime/tzdata\n") {
		t.Error("the binary knows time zones only where the machine does")
	}
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("listing the packages: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		all = append(all, p)
	}
}

func name(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}
