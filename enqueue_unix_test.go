//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/darkroom/darkroom/producer/batch/redistest"
)

// BenchmarkEnqueue enqueues short and long batches as typed, and says how much
// memory the process has taken at its most.
func BenchmarkEnqueue(b *testing.B) {
	for _, lines := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			url, _ := redistest.Start(b)
			file := filepath.Join(b.TempDir(), "long.jsonl")
			writeLines(b, file, lines)
			most := 0.
			for b.Loop() {
				cmd := darkroom(b, "enqueue", file, "--redis", url, "--store", b.TempDir())
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				most = max(most, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024)
			}
			b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(most, "MiB")
			b.ReportMetric(most-16*float64(lines)/(1<<20), "MiB-less-16-bytes-a-line")
		})
	}
}

func writeLines(b *testing.B, name string, lines int) {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range lines {
		fmt.Fprintf(w, `{"id":"line-%07d","prompt":"a red circle above a blue square, number %d","steps":20,"sampler":"dpmpp_2m","labels":{"number":%d}}`+"\n", i, i, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}
