//go:build unix

package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
)

// light is a renderer that draws a picture from the seed, without a model. Its
// state goes from step to step, so that a picture whose job was stopped and went
// on from a checkpoint has the right bits only if all of that went right.
//
// A prompt's words may ask for more:
//
//	step=TIME   each step takes so long
//	gate=FILE   the last step waits until the file is there
//	deaf        it doesn't heed that it is to end
//	bad         the job is a bad one
//	panic       it panics
//	crash       the process dies of a fault in native code; crash=FILE, until
//	            the file is there
//	killed      the process is killed, as for want of memory
type light struct {
	events   *os.File     // where it tells what it does, for the test; may be a closed one
	underWay atomic.Int64 // renders
}

// eventsFD is the descriptor on which a process tells of its renders.
const eventsFD = 3

var lightWith = job.MadeWith{Darkroom: cliVersion, ONNXRuntime: "none", Provider: "cpu", Device: "light", Level: "all"}

const cliVersion = "test"

func (r *light) MadeWith() job.MadeWith { return lightWith }

// Close may be called while no render is under way.
func (r *light) Close() {
	if n := r.underWay.Load(); n > 0 {
		panic(fmt.Sprintf("closed under %d renders", n))
	}
}

// tell writes an event: what, the line's id, the step at hand.
func (r *light) tell(what string, spec job.Spec, step int) {
	fmt.Fprintf(r.events, "%s %s %d\n", what, spec.ID, step) // in vain where nobody listens
}

func (r *light) Render(ctx context.Context, order job.Order, progress func(step, steps int)) (job.Picture, error) {
	r.underWay.Add(1)
	defer r.underWay.Add(-1)
	spec := order.Spec
	asked := wishes(spec.Prompt)
	_, deaf := asked["deaf"]
	from, state := 0, rand.NewPCG(spec.Seed, 1)
	if c := order.Checkpoint; c != nil && c.MadeWith == lightWith {
		from = int(binary.LittleEndian.Uint32(c.State))
		if err := state.UnmarshalBinary(c.State[4:]); err != nil {
			return job.Picture{}, err
		}
	}
	r.tell("begin", spec, from)
	defer r.tell("end", spec, spec.Steps)
	if err := misfortune(asked); err != nil {
		return job.Picture{}, err
	}
	if spec.Image != "" {
		if _, err := order.Input(ctx, spec.Image); err != nil {
			return job.Picture{}, err
		}
	}
	took, _ := time.ParseDuration(asked["step"])
	for step := from; step < spec.Steps; step++ {
		if ctx.Err() != nil && !deaf {
			return job.Picture{}, stopped(ctx, step, state)
		}
		wait(ctx, deaf, took, func() bool { return true })
		if gate := asked["gate"]; gate != "" && step == spec.Steps-1 {
			wait(ctx, deaf, 0, func() bool {
				_, err := os.Stat(gate)
				return err == nil
			})
			if ctx.Err() != nil && !deaf {
				return job.Picture{}, stopped(ctx, step, state)
			}
		}
		state.Uint64()
		r.tell("step", spec, step+1)
		progress(step+1, spec.Steps)
	}
	return paint(spec, state), nil
}

// wishes takes a prompt apart.
func wishes(prompt string) map[string]string {
	asked := map[string]string{}
	for word := range strings.FieldsSeq(prompt) {
		key, value, _ := strings.Cut(word, "=")
		asked[key] = value
	}
	return asked
}

// misfortune is what befalls a job that asks for it.
func misfortune(asked map[string]string) error {
	for what, until := range asked {
		if _, err := os.Stat(until); until != "" && err == nil {
			continue
		}
		switch what {
		case "bad":
			return job.Bad(errors.New("the prompt says so"))
		case "panic":
			panic("the prompt says so")
		case "crash":
			die(syscall.SIGSEGV)
		case "killed":
			die(syscall.SIGKILL)
		}
	}
	return nil
}

// die ends the process as a fault in native code does, past Go's own handlers.
func die(s syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), s)
	select {}
}

// wait waits for so long, and then until a condition holds.
func wait(ctx context.Context, deaf bool, d time.Duration, holds func() bool) {
	done := ctx.Done()
	if deaf {
		done = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-done:
			return
		}
		if holds() {
			return
		}
		timer.Reset(5 * time.Millisecond)
	}
}

// stopped is the end of a render between two steps.
func stopped(ctx context.Context, step int, state *rand.PCG) error {
	if context.Cause(ctx) != job.ErrPreempted {
		return ctx.Err()
	}
	data, err := state.MarshalBinary()
	if err != nil {
		return err
	}
	data = append(binary.LittleEndian.AppendUint32(nil, uint32(step)), data...)
	return &job.Preempted{Checkpoint: job.Checkpoint{MadeWith: lightWith, State: data}}
}

// draw is the picture that a render without a break gives.
func draw(spec job.Spec) job.Picture {
	state := rand.NewPCG(spec.Seed, 1)
	for range spec.Steps {
		state.Uint64()
	}
	return paint(spec, state)
}

func paint(spec job.Spec, state *rand.PCG) job.Picture {
	img := image.NewGray(image.Rect(0, 0, spec.Width, spec.Height))
	r := rand.New(state)
	for i := range img.Pix {
		img.Pix[i] = uint8(r.Uint32())
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		panic(err)
	}
	about, err := json.Marshal(map[string]any{"job": spec.Prompt, "made_with": lightWith})
	if err != nil {
		panic(err)
	}
	return job.Picture{
		Data: withText(file.Bytes(), "darkroom", about), Ext: "png", Width: spec.Width, Height: spec.Height,
		Models: map[string]string{"house": "none"}, MadeWith: lightWith, Timing: map[string]float64{"denoise": 1},
	}
}

// withText puts a text chunk behind a PNG's header.
func withText(file []byte, key string, text []byte) []byte {
	const header = 8 + 25
	body := slices.Concat([]byte("tEXt"+key+"\x00"), text)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = append(chunk, body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(body))
	return slices.Concat(file[:header], chunk, file[header:])
}
