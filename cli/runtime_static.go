//go:build !cgo

package cli

import (
	"errors"
	"log/slog"

	"github.com/darkroom/darkroom/pipeline"
)

// canRender tells whether openRuntime can work at all.
const canRender = false

func (f runtimeFlags) openRuntime(int, *slog.Logger) (pipeline.Runtime, error) {
	return nil, errors.New("this darkroom is a static binary, which can't load ONNX Runtime: to render, build it with a C compiler and CGO_ENABLED=1")
}
