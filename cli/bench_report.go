package cli

import (
	"fmt"
	"io"

	"github.com/darkroom/darkroom/pipeline/job"
)

// benchReport is what a benchmark prints as JSON.
type benchReport struct {
	Model         string       `json:"model"` // name@digest
	Width         int          `json:"width"`
	Height        int          `json:"height"`
	Sampler       string       `json:"sampler"`
	Schedule      string       `json:"schedule,omitempty"`
	Steps         int          `json:"steps"`
	GuidanceScale float64      `json:"guidance_scale"`
	MadeWith      job.MadeWith `json:"made_with"`
	Pictures      int          `json:"pictures"` // a setting
	Trials        []trial      `json:"settings"`
	Recommended   int          `json:"recommended_rows,omitempty"` // none where nothing was measured
}

func newBenchReport(spec job.Spec, madeWith job.MadeWith, pictures int) benchReport {
	madeWith.Darkroom = Version
	return benchReport{
		Model: spec.Model, Width: spec.Width, Height: spec.Height, Sampler: spec.Sampler, Schedule: spec.Schedule,
		Steps: spec.Steps, GuidanceScale: spec.GuidanceScale, MadeWith: madeWith, Pictures: pictures, Trials: []trial{},
	}
}

// enough is the share of the best setting's speed that is as good as the best.
const enough = .98

// recommended is the fewest rows of a call that are fast enough; 0 where nothing
// was measured. Fewer rows take less memory, and a picture is done earlier.
func recommended(trials []trial) int {
	best := 0.0
	for _, t := range trials {
		best = max(best, t.PicturesPerSecond)
	}
	for _, t := range trials { // fewer rows come first
		if t.PicturesPerSecond >= enough*best {
			return t.Rows
		}
	}
	return 0
}

// The columns of the table. Their widths are fixed, so that a line can be
// printed as soon as it is measured.
const (
	benchHead = "ROWS  JOBS  PICTURES/S  ROWS/CALL  IN ONNX RUNTIME  OCCUPANCY  PEAK MEMORY  WARM-UP\n"
	benchRow  = "%4d  %4d  %10.3f  %9.2f  %13.1f %%  %7.1f %%  %11s  %6.1fs\n"
)

func (r benchReport) begin(w io.Writer) {
	schedule := ""
	if r.Schedule != "" {
		schedule = " " + r.Schedule
	}
	fmt.Fprintf(w, "%.17s, %dx%d, %d steps of %s%s, guidance %g\n", r.Model, r.Width, r.Height, r.Steps, r.Sampler, schedule, r.GuidanceScale)
	fmt.Fprintf(w, "on %s (%s), ONNX Runtime %s\n", r.MadeWith.Device, r.MadeWith.Provider, r.MadeWith.ONNXRuntime)
	fmt.Fprintf(w, "%d pictures a setting, after a round of short ones that isn't counted\n\n", r.Pictures)
	fmt.Fprint(w, benchHead)
}

func (t trial) print(w io.Writer) {
	memory := "not known"
	if t.PeakMemory > 0 {
		memory = fmt.Sprintf("%d MiB", t.PeakMemory>>20)
	}
	fmt.Fprintf(w, benchRow, t.Rows, t.Jobs, t.PicturesPerSecond, t.RowsPerCall, 100*t.InRuntime, 100*t.Occupancy, memory, t.WarmUp)
}

// end says which setting to take. usual is what darkroom takes by itself.
func (r benchReport) end(w io.Writer, usual int) {
	switch r.Recommended {
	case 0:
	case usual:
		fmt.Fprintf(w, "\nleave --rows out: the %d that darkroom takes are the fewest within 2 %% of the best\n", usual)
	default:
		fmt.Fprintf(w, "\ntake --rows %d: the fewest within 2 %% of the best\n", r.Recommended)
	}
}
