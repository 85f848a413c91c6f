package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch"
)

// BenchmarkFirstPicture types one prompt and waits for the picture on disk:
// beside the whole time, how much of it is not the picture's own rendering.
func BenchmarkFirstPicture(b *testing.B) {
	orttest.Open(b)
	var rendering time.Duration
	for b.Loop() {
		out := b.TempDir()
		if err := darkroom(b, "render", "-p", "a large red circle on a blue background", "-o", out).Run(); err != nil {
			b.Fatal(err)
		}
		rendering += renderingTime(b, out)
	}
	b.ReportMetric(float64((b.Elapsed()-rendering).Milliseconds())/float64(b.N), "ms-beside-rendering")
}

// renderingTime adds up the stages in the record of an output folder's one picture.
func renderingTime(b *testing.B, out string) time.Duration {
	b.Helper()
	records := matches(b, filepath.Join(out, "prompt"), "0*.json")
	if len(records) != 1 {
		b.Fatalf("%d records, want 1", len(records))
	}
	data, err := os.ReadFile(records[0])
	if err != nil {
		b.Fatal(err)
	}
	var record batch.Record
	if err := json.Unmarshal(data, &record); err != nil {
		b.Fatal(err)
	}
	seconds := 0.
	for _, stage := range record.Timing {
		seconds += stage
	}
	return time.Duration(seconds * float64(time.Second))
}
