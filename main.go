// Darkroom renders batches of pictures with diffusion models.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/darkroom/darkroom/cli"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	// The first signal ends the run in good order; with the handler gone, a
	// second one ends the process at once, which loses nothing either.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
