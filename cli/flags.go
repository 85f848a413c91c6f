package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

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
		Builtin: models.All(),
		Log:     log,
	})
}

// runtimeFlags say what pictures are rendered with.
type runtimeFlags struct {
	ONNXRuntime string `name:"onnxruntime" env:"DARKROOM_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime's shared library; left out: where deploy/onnxruntime.sh puts it."`
	Device      string `env:"DARKROOM_DEVICE" enum:"auto,tensorrt,cuda,cpu" default:"auto" help:"auto (the first that works), tensorrt, cuda or cpu."`
	Threads     int    `placeholder:"N" help:"Threads of a call on a CPU; as many calls run side by side as then fill its cores. Left out: 1."`
	Memory      size   `env:"DARKROOM_MEMORY" placeholder:"SIZE" help:"What loaded models may take, such as 8GB: the one last used the longest ago goes. Left out: half of the device's memory."`
	Exact       bool   `default:"true" negatable:"" help:"A picture has the same bits whatever is rendered beside it. --no-exact makes smaller calls possible on a GPU; pictures then say so."`
	Cache       string `env:"DARKROOM_CACHE" default:"${cache}" placeholder:"DIR" help:"Keeps optimised graphs, so that the next start is quick; empty for none. Left out: ${default}."`
}

// checkCount says what is wrong with a number of which a flag that is left out
// leaves the choice to the device.
func checkCount(flag string, n int) error {
	if n < 0 {
		return fmt.Errorf("--%s %d: want 1 or more, or leave it out", flag, n)
	}
	return nil
}

// checkFew is checkCount where each takes memory in ONNX Runtime, which heeds no
// signal while it makes too many.
func checkFew(flag string, n int) error {
	const most = 1024 // more than any device has a use for
	if n > most {
		return fmt.Errorf("--%s %d: want 1 to %d, or leave it out", flag, n, most)
	}
	return checkCount(flag, n)
}

// cacheFolder is where --cache points, if it is left out: nowhere for a user
// without a home.
func cacheFolder() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "darkroom")
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
