// Package cli is darkroom's commands: flags in, a call into the rooms below,
// text out. One file a command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
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
	Render   renderCommand   `cmd:"" help:"Render a batch file, or one prompt, into a folder. Run again, it goes on where it was."`
	Models   modelsCommand   `cmd:"" help:"List the models that jobs may name."`
	Samplers samplersCommand `cmd:"" help:"List the samplers that jobs may name, with their schedules."`

	Version kong.VersionFlag `help:"Print the version and leave."`
}

// Run carries out one command line and returns its exit status. A cancelled
// ctx ends it in good order.
func Run(ctx context.Context, args []string, streams Streams) int {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("darkroom"),
		kong.Description("Renders batches of pictures with diffusion models."),
		kong.Vars{"version": "darkroom " + Version},
		kong.Writers(streams.Out, streams.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams),
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
	return report(streams.Err, command.Run())
}

// report prints err for a person and returns its exit status.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	status := exitOutside
	if e, ok := errors.AsType[*exitError](err); ok {
		status = e.status
	}
	fmt.Fprintf(w, "darkroom: %v\n", err)
	return status
}
