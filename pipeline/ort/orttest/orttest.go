// Package orttest opens ONNX Runtime for tests.
package orttest

import (
	"os"
	"testing"

	"github.com/darkroom/darkroom/pipeline/ort"
)

// Open returns ONNX Runtime on the CPU. Where the library is missing the test
// is left out, or fails if DARKROOM_TEST_ALL is 1.
func Open(t testing.TB) *ort.Runtime {
	t.Helper()
	runtime, err := ort.Open(ort.Options{Library: os.Getenv("DARKROOM_ONNXRUNTIME"), Device: "cpu"})
	if err == nil {
		return runtime
	}
	if os.Getenv("DARKROOM_TEST_ALL") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}
