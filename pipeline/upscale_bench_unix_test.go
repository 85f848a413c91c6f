//go:build unix

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// BenchmarkUpscale enlarges a picture of 1024 px four times, tile by tile, with
// the house upscaler or with the network whose folder DARKROOM_BENCH_UPSCALER
// names. Its metrics are the most memory that the process had beyond what it has
// with the network loaded (Linux only), and the CPU time of a million of its pixels.
func BenchmarkUpscale(b *testing.B) {
	sources, name := pipeline.Sources{Builtin: models.All(), Cache: b.TempDir()}, job.DefaultUpscaler
	if folder := os.Getenv("DARKROOM_BENCH_UPSCALER"); folder != "" {
		sources.Folders, name = []string{folder}, filepath.Base(folder)
	}
	library, err := pipeline.NewLibrary(sources)
	if err != nil {
		b.Fatal(err)
	}
	renderer := pipeline.New(orttest.Open(b), library, "0.0.0")
	defer renderer.Close()
	spec := resolve(b, library, fmt.Sprintf(`{"kind": "upscale", "image": "inputs/picture.png", "scale": 4, "model": %q}`, name))
	draw := func(side int) {
		data := encodePNG(b, scene(side, side))
		input := func(context.Context, string) ([]byte, error) { return data, nil }
		if picture, err := renderer.Render(b.Context(), job.Order{Spec: spec, Input: input}, nil); err != nil || picture.Width != 4*side {
			b.Fatal(picture.Width, err)
		}
	}
	draw(16) // loads the network
	const side = 1024
	begin := cpuTime(b)
	for b.Loop() {
		debug.FreeOSMemory()
		before, err := peak(true)
		if err != nil {
			b.Skip(err)
		}
		draw(side)
		after, err := peak(false)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(after-before)/(1<<20), "peak-MiB")
	}
	b.ReportMetric((cpuTime(b)-begin).Seconds()/(float64(b.N)*side*side*16/1e6), "CPU-s/Mpixel")
}

// peak is the most memory that the process has had, in bytes, since it was asked
// to count anew.
func peak(anew bool) (bytesResident int64, err error) {
	if anew {
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			return 0, err
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	if _, err := fmt.Sscanf(string(rest), "%d kB", &bytesResident); err != nil {
		return 0, errors.New("the system doesn't count the most memory of a process")
	}
	return bytesResident << 10, nil
}
