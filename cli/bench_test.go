package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

func TestRecommended(t *testing.T) {
	speeds := func(pictures ...float64) (trials []trial) {
		for i, p := range pictures {
			trials = append(trials, trial{Rows: 1 << i, PicturesPerSecond: p})
		}
		return trials
	}
	for _, c := range []struct {
		trials []trial
		want   int
	}{
		{nil, 0},
		{speeds(3), 1},
		{speeds(10, 10.2), 1},       // within 2 %
		{speeds(10, 10.3, 10.4), 2}, // the fewest of those that are
		{speeds(1, 4, 3), 2},
	} {
		if got := recommended(c.trials); got != c.want {
			t.Errorf("recommended(%v) = %d, want %d", c.trials, got, c.want)
		}
	}
}

func TestBenchSettings(t *testing.T) {
	device := pipeline.Device{Lanes: 2, Rows: 4}
	c := benchCommand{}
	if c.settle(device); !slices.Equal(c.Rows, []int{1, 2, 4, 8}) || c.Pictures != 2*2*8 {
		t.Errorf("left out, rows are %v and pictures %d", c.Rows, c.Pictures)
	}
	c = benchCommand{Rows: []int{6, 3}, Jobs: 20}
	if c.settle(device); !slices.Equal(c.Rows, []int{3, 6}) || c.Pictures != 2*20 {
		t.Errorf("rows are %v and pictures %d", c.Rows, c.Pictures)
	}
}

// TestMeasure counts with a runtime that does nothing: what is measured is the
// batch, without the warm-up.
func TestMeasure(t *testing.T) {
	library, spec := benchHouse(t)
	const jobs, pictures = 3, 7
	var ticks atomic.Int64
	got, err := measure(t.Context(), idleRuntime{2}, library, spec, jobs, pictures, func() { ticks.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	if ticks.Load() != pictures || got.Jobs != jobs || got.Rows != 2 {
		t.Errorf("%d ticks, %+v", ticks.Load(), got)
	}
	if got.RowsPerCall < 1 || got.RowsPerCall > 2 {
		t.Errorf("%g rows a call, which takes 2", got.RowsPerCall)
	}
	if math.Abs(got.PicturesPerSecond*got.Seconds-pictures) > 1e-9 {
		t.Errorf("%g pictures a second in %g s, want %d pictures", got.PicturesPerSecond, got.Seconds, pictures)
	}
	if got.InRuntime <= 0 || got.InRuntime >= 1 || got.Occupancy <= 0 || got.Occupancy > 1 {
		t.Errorf("shares out of range: %+v", got)
	}
}

func TestMeasureCutOff(t *testing.T) {
	library, spec := benchHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := measure(ctx, idleRuntime{2}, library, spec, 2, 1000, cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
}

func TestBenchReport(t *testing.T) {
	var b strings.Builder
	r := benchReport{
		Model: "house@0123456789abcdef", Width: 64, Height: 32, Sampler: "euler", Schedule: "karras", Steps: 8, GuidanceScale: 7.5,
		MadeWith: job.MadeWith{ONNXRuntime: "1.2.3", Provider: "cpu", Device: "a processor"}, Pictures: 16, Recommended: 4,
	}
	r.begin(&b)
	trial{Rows: 4, Jobs: 8, PicturesPerSecond: 12.3456, RowsPerCall: 3.987, InRuntime: .996, Occupancy: 1, PeakMemory: 200 << 20, WarmUp: .25}.print(&b)
	r.end(&b, 4)
	const want = `house@0123456789a, 64x32, 8 steps of euler karras, guidance 7.5
on a processor (cpu), ONNX Runtime 1.2.3
16 pictures a setting, after a round of short ones that isn't counted

ROWS  JOBS  PICTURES/S  ROWS/CALL  IN ONNX RUNTIME  OCCUPANCY  PEAK MEMORY  WARM-UP
   4     8      12.346       3.99           99.6 %    100.0 %      200 MiB     0.2s

leave --rows out: the 4 that darkroom takes are the fewest within 2 % of the best
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &b, want)
	}
}

// TestBenchCutOff ends a benchmark while it measures its second setting: what
// it has measured is printed.
func TestBenchCutOff(t *testing.T) {
	library, spec := benchHouse(t)
	for _, asJSON := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		c := benchCommand{Rows: []int{1, 2, 3}, Pictures: 4, JSON: asJSON}
		err := c.compare(ctx, Streams{Out: &out, Err: io.Discard}, library, spec, func(rows int) (pipeline.Runtime, error) {
			if rows == 2 {
				cancel()
			}
			return idleRuntime{rows}, nil
		})
		if e, ok := errors.AsType[*exitError](err); !ok || e.status != exitCutOff || !strings.Contains(err.Error(), "1 of 3 settings") {
			t.Errorf("it ends with %v", err)
		}
		if asJSON {
			var report benchReport
			if err := json.Unmarshal([]byte(out.String()), &report); err != nil || len(report.Trials) != 1 || report.Recommended != 1 {
				t.Errorf("%v, printed\n%s", err, &out)
			}
		} else if !strings.HasSuffix(out.String(), "\ntake --rows 1: the fewest within 2 % of the best\n") {
			t.Errorf("printed\n%s", &out)
		}
	}
}

func benchHouse(t *testing.T) (*pipeline.Library, job.Spec) {
	t.Helper()
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	steps := 5
	spec, err := benchLine{Steps: &steps}.spec(library)
	if err != nil {
		t.Fatal(err)
	}
	return library, spec
}

// idleRuntime's graphs leave their outputs as they are. It takes 4 rows by itself.
type idleRuntime struct{ rows int }

func (idleRuntime) Load(pipeline.GraphFile) (pipeline.Graph, error) { return idleGraph{}, nil }
func (idleRuntime) Interruptible(ctx context.Context) (context.Context, func(), error) {
	return ctx, func() {}, nil
}
func (r idleRuntime) Device() pipeline.Device {
	return pipeline.Device{Lanes: 2, Rows: cmp.Or(r.rows, 4)}
}
func (idleRuntime) MadeWith() job.MadeWith { return job.MadeWith{} }

type idleGraph struct{}

func (idleGraph) Bind(_, _ []pipeline.Tensor) (pipeline.Call, error) { return idleCall{}, nil }
func (idleGraph) Close() error                                       { return nil }

type idleCall struct{}

func (idleCall) Run(context.Context) error { return nil }
func (idleCall) Close()                    {}
