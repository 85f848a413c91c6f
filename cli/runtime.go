//go:build cgo

package cli

import (
	"log/slog"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/ort"
)

// canRender tells whether openRuntime can work at all.
const canRender = true

// openRuntime opens ONNX Runtime. rows is the most rows of a call of the UNet; 0:
// what suits the device.
func (f runtimeFlags) openRuntime(rows int, log *slog.Logger) (pipeline.Runtime, error) {
	return ort.Open(ort.Options{
		Library: f.ONNXRuntime, Device: f.Device, Rows: rows, Threads: f.Threads,
		Memory: int64(f.Memory), Loose: !f.Exact, Cache: f.Cache, Log: log,
	})
}
