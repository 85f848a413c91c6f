package job

import (
	"context"
	"errors"
)

// Order is one job as a renderer gets it.
type Order struct {
	Spec Spec // resolved

	// Input returns the file of a picture that the Spec names: Image, Mask, and
	// the Image of each Control.
	Input func(ctx context.Context, name string) ([]byte, error)

	// Checkpoint is where an earlier render of this job was stopped; nil: none
	// was. A renderer that can't go on from there begins again.
	Checkpoint *Checkpoint
}

// Checkpoint is a render that was stopped between two steps.
type Checkpoint struct {
	MadeWith MadeWith // who goes on must be the same: other bits would come of it
	State    []byte   // the renderer's own
}

// ErrPreempted is the cause to cancel a render's context with when the job is
// to go on elsewhere or later: it then ends with a [Preempted].
var ErrPreempted = errors.New("preempted")

// Preempted is the error of a render that was stopped by [ErrPreempted] after
// its first step.
type Preempted struct{ Checkpoint Checkpoint }

func (p *Preempted) Error() string { return ErrPreempted.Error() }
func (p *Preempted) Unwrap() error { return ErrPreempted }
