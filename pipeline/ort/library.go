package ort

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// The binding has one library and one environment in a process.
var (
	loading sync.Mutex
	loaded  string // the library's path
)

// load opens the library at path, or looks for one where path is empty, and
// starts ONNX Runtime.
func load(path string) error {
	loading.Lock()
	defer loading.Unlock()
	if ort.IsInitialized() {
		if path != "" && path != loaded {
			return fmt.Errorf("ONNX Runtime was already loaded from %s: a process has one", loaded)
		}
		return nil
	}
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the ONNX Runtime library: %w; deploy/onnxruntime.sh fetches one and prints its path", err)
		}
		return start(path)
	}
	folder := dataFolder()
	candidates := installed(folder)
	var failed []error
	for _, name := range append(candidates, systemNames()...) {
		err := start(name)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	if len(candidates) > 0 {
		return fmt.Errorf("loading ONNX Runtime: %w", errors.Join(failed[:len(candidates)]...))
	}
	where := "no home to look in"
	if folder != "" {
		where = "nothing in " + folder
	}
	return fmt.Errorf("no ONNX Runtime here (%s, and none that the system's loader knows): run deploy/onnxruntime.sh, which fetches it, or name a library with --onnxruntime", where)
}

func start(path string) error {
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return fmt.Errorf("%s: %w (version 1.24 or newer is needed)", path, err)
	}
	loaded = path
	// What is drawn here is nobody else's business.
	if err := ort.DisableTelemetry(); err != nil {
		return fmt.Errorf("%s: switching telemetry off: %w", path, err)
	}
	return nil
}

// dataFolder is where deploy/onnxruntime.sh puts libraries.
func dataFolder() string {
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "darkroom", "onnxruntime")
}

// installed lists the libraries in folder, which has one folder for each
// version: GPU builds first, since they run on a CPU as well, then the newest.
func installed(folder string) []string {
	versions, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	slices.SortFunc(versions, func(a, b os.DirEntry) int { return compareVersions(b.Name(), a.Name()) })
	var found []string
	for _, version := range versions {
		for _, pattern := range []string{"libonnxruntime.so.*", "libonnxruntime.*.dylib"} {
			files, _ := filepath.Glob(filepath.Join(folder, version.Name(), pattern))
			found = append(found, files...)
		}
	}
	return found
}

// compareVersions orders names such as 1.9.0, 1.32.0 and 1.31.1-gpu.
func compareVersions(a, b string) int {
	a, gpuA := strings.CutSuffix(a, "-gpu")
	b, gpuB := strings.CutSuffix(b, "-gpu")
	if gpuA != gpuB {
		if gpuA {
			return 1
		}
		return -1
	}
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		m, errA := strconv.Atoi(a)
		n, errB := strconv.Atoi(b)
		if errA != nil || errB != nil {
			return strings.Compare(a, b)
		}
		return cmp.Compare(m, n)
	})
}

func systemNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
}
