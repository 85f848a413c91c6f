// Package cli is darkroom's commands: flags in, a call into the rooms below,
// text out. One file a command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
)

// Version is darkroom's version. Pictures and records name it, so it changes
// with a release and with nothing else.
const Version = "0.1.0"

// Streams are the three files of a command: pictures' paths and tables go to
// Out, progress and logs to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// The exit statuses of every command.
const (
	exitDone        = 0   // every line has its picture
	exitDeadLetters = 1   // done, but some lines have a dead letter instead
	exitUsage       = 2   // the command or the batch file is wrong, and nothing was begun
	exitOutside     = 3   // Redis, the store, the disk or ONNX Runtime failed: mend it and run again
	exitCutOff      = 130 // a signal came: run again to go on
)

// exitError is an error that knows its exit status; all others are exitOutside.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as one of the command line or the batch file.
func usage(err error) error { return &exitError{exitUsage, err} }

type commands struct {
	Render    renderCommand    `cmd:"" help:"Render a batch file, or one prompt, into a folder. Run again, it goes on where it was."`
	Enqueue   enqueueCommand   `cmd:"" help:"Put a batch on a queue, for consumers on other machines."`
	Work      workCommand      `cmd:"" help:"Render what is on queues, until a signal comes."`
	Status    statusCommand    `cmd:"" help:"Tell how batches on a queue get on."`
	Watch     watchCommand     `cmd:"" help:"Show how a batch gets on until it is done."`
	Retry     retryCommand     `cmd:"" help:"Give lines that failed another try, and go on with what was cancelled."`
	Cancel    cancelCommand    `cmd:"" help:"Stop a batch. What is done stays."`
	Schedules schedulesCommand `cmd:"" help:"List what opens by itself, and remove it."`
	Reconcile reconcileCommand `cmd:"" help:"Hold a batch's manifest against the store and the queue, and mend what differs."`
	Bench     benchCommand     `cmd:"" help:"Measure how fast a model renders here, and how many rows a call had best have."`
	Models    modelsCommand    `cmd:"" help:"List the models that jobs may name, show one, and add one."`
	Samplers  samplersCommand  `cmd:"" help:"List the samplers that jobs may name, with their schedules."`

	Version kong.VersionFlag `help:"Print the version and leave."`
}

// Renderer is what "work" renders with.
type Renderer interface {
	consumer.Renderer
	MadeWith() job.MadeWith
	Close()
}

// otherRenderer is one to render with instead of the pipeline; nil: none.
type otherRenderer struct{ Renderer }

// Run carries out one command line and returns its exit status. A cancelled
// ctx ends it in good order.
func Run(ctx context.Context, args []string, streams Streams) int {
	return RunWith(ctx, args, streams, nil)
}

// RunWith is [Run] where "work" has another renderer than the pipeline. It is
// there to test all that stands around the rendering.
func RunWith(ctx context.Context, args []string, streams Streams, other Renderer) int {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("darkroom"),
		kong.Description("Renders batches of pictures with diffusion models."),
		kong.Vars{"version": "darkroom " + Version, "cache": cacheFolder(), "queue": defaultQueue},
		kong.Writers(streams.Out, streams.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams, &otherRenderer{other}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // the commands struct is wrong, whatever was typed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(streams.Err, "darkroom: %v\nTry \"darkroom --help\".\n", err)
		return exitUsage
	}
	return report(ctx, streams.Err, command.Run())
}

// report prints err for a person and returns its exit status. An error that has
// none of its own is the signal's, where one has ended ctx.
func report(ctx context.Context, w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	status := exitOutside
	if e, ok := errors.AsType[*exitError](err); ok {
		status = e.status
	} else if ctx.Err() != nil {
		status, err = exitCutOff, fmt.Errorf("cut off: %w", err)
	}
	fmt.Fprintf(w, "darkroom: %v\n", err)
	return status
}
