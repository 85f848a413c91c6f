//go:build cgo

package cli

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/ort"
)

func (f runtimeFlags) openRuntime(log *slog.Logger) (pipeline.Runtime, error) {
	options := ort.Options{Library: f.ONNXRuntime, Device: f.Device, Rows: f.Rows, Log: log}
	if folder, err := os.UserCacheDir(); err == nil {
		options.Cache = filepath.Join(folder, "darkroom", "engines")
	}
	return ort.Open(options)
}
