package pipeline

import (
	"context"
	"errors"

	"github.com/darkroom/darkroom/pipeline/engine"
)

// lanes make all calls of a renderer's models, never more at a time than fill
// the device. A job's rows share calls of the UNet with other jobs' rows. Text
// encodings and VAE decodings gain nothing from company: each is a call of its
// own, which takes turns with the UNet's by the engine's rule, the age of the
// oldest row.
type lanes struct {
	runtime Runtime
	device  Device
	engine  *engine.Engine[group, task]
	reaches []reach // by lane
}

// group tells which rows may stand in one call: those of one network whose sizes
// agree. The zero group is the calls of their own.
type group struct {
	unet  *unet
	shape unetShape // but for the number of rows
}

// task is what the engine hands to a lane: a row of the UNet or, in the zero
// group, a whole call.
type task struct {
	row  *Row
	led  *unet // the group's network with inputs for the row's residuals; nil: it has them itself, or the row has none
	call Call
}

func newLanes(runtime Runtime) *lanes {
	l := &lanes{runtime: runtime, device: runtime.Device()}
	l.reaches = make([]reach, l.device.Lanes)
	var err error
	if l.engine, err = engine.New(engine.Config{Lanes: l.device.Lanes, Rows: l.device.Rows}, l.run); err != nil {
		panic(err) // a Device has at least one lane and one row
	}
	l.engine.Limit(group{}, 1)
	return l
}

// close ends the lanes. No job may be under way.
func (l *lanes) close() {
	l.engine.Close()
	for _, r := range l.reaches {
		if r.release != nil {
			r.release()
		}
	}
}

// alone makes a call that shares nothing with others, when its turn comes.
func (l *lanes) alone(ctx context.Context, call Call) error {
	job, err := l.engine.Join(group{})
	if err != nil {
		return err
	}
	defer job.Leave()
	return job.Denoise(ctx, task{call: call})
}

// join takes a job's place among those that use the UNet. All its rows have
// the sizes of like. The engine waits for them until the job leaves. Where lead
// isn't nil, ControlNets lead the job.
func (l *lanes) join(u *unet, like Row, lead *leaders) (*place, error) {
	keys := []group{{u, shapeOf(&like)}}
	p := &place{}
	if lead != nil {
		if p.led = lead.led; lead.alone {
			keys[0].unet = lead.led
		}
		like.Guidance = nil // which no ControlNet takes
		for _, net := range lead.nets {
			keys = append(keys, group{net.unet, shapeOf(&like)})
		}
	}
	var err error
	p.Job, err = l.engine.Join(keys...)
	return p, err
}

// place is a job's place in the engine. It implements [Rows].
type place struct {
	*engine.Job[group, task]
	led   *unet
	tasks []task
}

// Predict implements [Rows]. The rows may go to several calls.
func (p *place) Predict(ctx context.Context, rows []Row) error {
	p.tasks = p.tasks[:0]
	for i := range rows {
		one := task{row: &rows[i]}
		if rows[i].Residuals != nil {
			one.led = p.led
		}
		p.tasks = append(p.tasks, one)
	}
	return p.Denoise(ctx, p.tasks...)
}

// Lead implements [Rows].
func (p *place) Lead(ctx context.Context, net int, rows []Row) error {
	p.tasks = p.tasks[:0]
	for i := range rows {
		p.tasks = append(p.tasks, task{row: &rows[i]})
	}
	return p.DenoiseIn(ctx, 1+net, p.tasks...)
}

// run is the engine's call.
func (l *lanes) run(ctx context.Context, lane int, g group, tasks []task) error {
	ctx, err := l.reaches[lane].extend(ctx, l.runtime)
	if err != nil {
		return err
	}
	if g.unet == nil {
		return tasks[0].call.Run(ctx)
	}
	return l.predict(ctx, g, tasks)
}

// predict evaluates rows of a network. Where memory is short it makes do with
// fewer of them a call, from now on.
func (l *lanes) predict(ctx context.Context, g group, tasks []task) error {
	u := g.unet
	for _, t := range tasks {
		if t.led != nil {
			u = t.led
		}
	}
	left, err := u.predict(ctx, tasks)
	if n := len(left) / 2; errors.Is(err, ErrOutOfMemory) && n >= u.least {
		l.engine.Limit(g, n)
		if err = l.predict(ctx, g, left[:n]); err == nil {
			err = l.predict(ctx, g, left[n:])
		}
	}
	return err
}

// reach makes a lane's calls interruptible: a call ends in its middle when no
// job wants its result any more. The engine gives a lane's calls one context
// until that is cancelled, so that nothing is made for each call.
type reach struct {
	from, to context.Context
	release  func()
}

func (r *reach) extend(ctx context.Context, runtime Runtime) (context.Context, error) {
	if r.from == ctx {
		return r.to, nil
	}
	to, release, err := runtime.Interruptible(ctx)
	if err != nil {
		return nil, err
	}
	if r.release != nil {
		r.release()
	}
	*r = reach{ctx, to, release}
	return to, nil
}
