//go:build unix

package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/darkroom/darkroom/cli"
)

// beDarkroom has the test binary act as darkroom, with the light renderer.
const beDarkroom = "DARKROOM_TEST_BE_LIGHT"

var seedFlag = flag.Uint64("seed", 0, "replay the random choices of this seed")

func TestMain(m *testing.M) {
	if os.Getenv(beDarkroom) != "" {
		darkroom()
	}
	flag.Parse()
	// They wait for leases and outages, most of the time, and not for a core.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("12"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// darkroom is what package main does, with the light renderer.
func darkroom() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	renderer := &light{events: os.NewFile(eventsFD, "events")}
	os.Exit(cli.RunWith(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, renderer))
}
