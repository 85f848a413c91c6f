package pipeline_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

// BenchmarkManyPictures draws 10,000 small pictures of one step, each with a
// prompt of its own, 16 at a time. Its metrics are how much more memory the
// process has after them than after the first 100: the heap that is in use, and
// the pages that are resident (Linux only).
func BenchmarkManyPictures(b *testing.B) {
	renderer, library := openModels(b, "sd")
	draw := func(from, to int) {
		var specs []job.Spec
		for i := from; i < to; i++ {
			specs = append(specs, resolve(b, library, fmt.Sprintf(`{"model": "sd", "prompt": "%d stars", "seed": %d, "steps": 1, "width": 16, "height": 16}`, i, i)))
		}
		renderAll(b, renderer, specs, 16)
	}
	for b.Loop() {
		draw(0, 100)
		heap, resident := inUse(b)
		for from := 100; from < 10_000; from += 100 {
			draw(from, from+100)
		}
		moreHeap, moreResident := inUse(b)
		b.ReportMetric(float64(moreHeap-heap)/1e6, "heap-MB")
		b.ReportMetric(float64(moreResident-resident)/1e6, "resident-MB")
	}
}

// inUse returns the bytes of the heap and of the resident pages.
func inUse(t testing.TB) (heap, resident int64) {
	t.Helper()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	pages := int64(0)
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscanf(string(data), "%d %d", new(int64), &pages); err != nil {
			t.Fatal(err)
		}
	}
	return int64(stats.HeapAlloc), pages * int64(os.Getpagesize())
}
