package pipeline_test

import (
	"os"
	"testing"

	"github.com/darkroom/darkroom/pipeline/ort"
)

// openRuntime returns ONNX Runtime on the CPU. Where the library is missing
// the test is left out, or fails if DARKROOM_TEST_ALL is set.
func openRuntime(t testing.TB) *ort.Runtime {
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
