package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

type benchCommand struct {
	Line benchLine `embed:""`

	Rows     []int `placeholder:"N,..." help:"The most rows of a call of the UNet: the settings to compare; left out: 1, 2, 4 and so on, to twice what darkroom would take."`
	Jobs     int   `placeholder:"N" help:"Pictures that are rendered at once; left out: what fills the device with so many rows."`
	Pictures int   `placeholder:"N" help:"Pictures a setting; left out: twice as many as are rendered at once with the most rows."`
	JSON     bool  `name:"json" help:"Print one JSON object instead of a table."`

	modelFlags
	runtimeFlags
	logFlags
}

// benchLine is the job that is measured, with the names of the job's fields.
type benchLine struct {
	Model   *string `json:"model,omitempty" placeholder:"NAME" help:"One of \"darkroom models\"; left out: house."`
	Sampler *string `json:"sampler,omitempty" placeholder:"NAME" help:"One of \"darkroom samplers\"; left out, as all below: the model's."`
	Steps   *int    `json:"steps,omitempty" placeholder:"N" help:"1 to 1000."`
	Width   *int    `json:"width,omitempty" placeholder:"PIXELS"`
	Height  *int    `json:"height,omitempty" placeholder:"PIXELS"`
	Prompt  string  `json:"prompt" kong:"-"`
}

// benchPrompt is what is drawn. What it says makes no difference to the time.
const benchPrompt = "a large red circle on a blue background"

func (c *benchCommand) Run(ctx context.Context, streams Streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	log := c.logger(streams.Err)
	library, err := c.library(log)
	if err != nil {
		return usage(err)
	}
	spec, err := c.Line.spec(library)
	if err != nil {
		return usage(err)
	}
	open := func(rows int) (pipeline.Runtime, error) { return c.openRuntime(rows, log) }
	return c.compare(ctx, streams, library, spec, open)
}

// compare measures one setting after the other, each on a runtime of its own,
// and prints each as soon as it is done.
func (c *benchCommand) compare(ctx context.Context, streams Streams, library *pipeline.Library, spec job.Spec, open func(rows int) (pipeline.Runtime, error)) error {
	usual, err := open(0)
	if err != nil {
		return err
	}
	c.settle(usual.Device())
	report := newBenchReport(spec, usual.MadeWith(), c.Pictures)
	if !c.JSON {
		report.begin(streams.Out)
	}
	for _, rows := range c.Rows {
		t, failed := c.try(ctx, streams, library, spec, rows, open)
		if failed != nil {
			err = fmt.Errorf("with --rows %d: %w", rows, failed)
			break
		}
		report.Trials = append(report.Trials, t)
		if !c.JSON {
			t.print(streams.Out)
		}
	}
	report.Recommended = recommended(report.Trials)
	if c.JSON {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetIndent("", "  ")
		err = errors.Join(err, encoder.Encode(report))
	} else {
		report.end(streams.Out, usual.Device().Rows)
	}
	if ctx.Err() != nil {
		return &exitError{exitCutOff, fmt.Errorf("cut off with %d of %d settings measured", len(report.Trials), len(c.Rows))}
	}
	return err
}

// check finds what is wrong with the flags by themselves.
func (c *benchCommand) check() error {
	for i, rows := range c.Rows {
		if rows < 1 {
			return fmt.Errorf("--rows %d: want numbers of 1 or more, such as 1,2,4, or leave it out", rows)
		}
		if slices.Contains(c.Rows[:i], rows) {
			return fmt.Errorf("--rows: %d is there twice", rows)
		}
		if err := checkFew("rows", rows); err != nil {
			return err
		}
	}
	return errors.Join(checkCount("jobs", c.Jobs), checkFew("threads", c.Threads), checkCount("pictures", c.Pictures))
}

// settle fills in what the flags leave to the device. Fewer rows come first, so
// that their peak of memory is not that of more.
func (c *benchCommand) settle(device pipeline.Device) {
	if len(c.Rows) == 0 {
		for rows := 1; rows <= 2*device.Rows; rows *= 2 {
			c.Rows = append(c.Rows, rows)
		}
	}
	slices.Sort(c.Rows)
	if c.Pictures == 0 {
		device.Rows = slices.Max(c.Rows)
		c.Pictures = 2 * max(c.Jobs, device.Jobs())
	}
}

// spec resolves the line.
func (l benchLine) spec(library *pipeline.Library) (job.Spec, error) {
	l.Prompt = benchPrompt
	line, err := json.Marshal(l)
	if err != nil {
		return job.Spec{}, err
	}
	spec, faults := job.Decode(line)
	if err := faults.Err(); err != nil {
		return job.Spec{}, err
	}
	spec, faults = spec.Resolve(library.Model)
	return spec, faults.Err()
}

// try measures one setting.
func (c *benchCommand) try(ctx context.Context, streams Streams, library *pipeline.Library, spec job.Spec, rows int, open func(int) (pipeline.Runtime, error)) (trial, error) {
	runtime, err := open(rows)
	if err != nil {
		return trial{}, err
	}
	jobs := c.Jobs
	if jobs == 0 {
		jobs = runtime.Device().Jobs()
	}
	bar := c.bar(streams, rows)
	defer bar.Clear()
	return measure(ctx, runtime, library, spec, min(jobs, c.Pictures), c.Pictures, func() { _ = bar.Add(1) })
}

// bar shows on a terminal how far a setting is.
func (c *benchCommand) bar(streams Streams, rows int) *progressbar.ProgressBar {
	return progressbar.NewOptions(c.Pictures,
		progressbar.OptionSetWriter(streams.Err),
		progressbar.OptionSetVisibility(isTerminal(streams.Err)),
		progressbar.OptionSetDescription(fmt.Sprintf("--rows %d", rows)),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionThrottle(50*time.Millisecond),
	)
}
