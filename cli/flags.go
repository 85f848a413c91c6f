package cli

import (
	"io"
	"io/fs"
	"log/slog"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
)

// modelFlags say where models are.
type modelFlags struct {
	Models []string `env:"DARKROOM_MODELS" placeholder:"DIR" sep:"," help:"A folder of models, or one model's; may be given more than once. The house model is always there."`
}

func (f modelFlags) library(log *slog.Logger) (*pipeline.Library, error) {
	return pipeline.NewLibrary(pipeline.Sources{
		Folders: f.Models,
		Builtin: map[string]fs.FS{"house": models.House()},
		Log:     log,
	})
}

// runtimeFlags say what pictures are rendered with.
type runtimeFlags struct {
	ONNXRuntime string `name:"onnxruntime" env:"DARKROOM_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime's shared library; left out: where deploy/onnxruntime.sh puts it."`
	Device      string `env:"DARKROOM_DEVICE" enum:"auto,tensorrt,cuda,cpu" default:"auto" help:"auto (the first that works), tensorrt, cuda or cpu."`
	Rows        int    `placeholder:"N" help:"The most rows of a call of the UNet; left out: what suits the device."`
}

// logFlags say how much is told.
type logFlags struct {
	Verbose bool `short:"v" help:"Log what is done, not only what goes wrong."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if f.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
