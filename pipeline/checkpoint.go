package pipeline

import (
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// resume moves a state that has just begun to where a checkpoint was taken. It
// stays where it is when the bits would not be those of a render without a
// break, which costs time and nothing else.
func (r *Renderer) resume(c *job.Checkpoint, madeWith job.MadeWith, plan *sampler.Plan, state *sampler.State) {
	if c == nil {
		return
	}
	if c.MadeWith != madeWith {
		r.library.log.Info("a checkpoint is another machine's; the job begins again", "made_with", c.MadeWith)
		return
	}
	kept := sampler.State{Noise: noise.New(0)} // its place is the state's
	err := kept.UnmarshalBinary(c.State)
	if err == nil && len(kept.X) != len(state.X) {
		err = fmt.Errorf("a latent of %d values, want %d", len(kept.X), len(state.X))
	}
	if err == nil {
		err = plan.Check(&kept)
	}
	if err != nil {
		r.library.log.Warn("a checkpoint can't be used; the job begins again", "error", err)
		return
	}
	*state = kept
}

// preempted turns the error of a run that was stopped so that it can go on
// elsewhere into its checkpoint.
func preempted(err error, madeWith job.MadeWith, state *sampler.State) error {
	if !errors.Is(err, job.ErrPreempted) || state.Done() == 0 {
		return err
	}
	data, failed := state.MarshalBinary()
	if failed != nil {
		return fmt.Errorf("%w, without a checkpoint: %v", err, failed)
	}
	return &job.Preempted{Checkpoint: job.Checkpoint{MadeWith: madeWith, State: data}}
}
