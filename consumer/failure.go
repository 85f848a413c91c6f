package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"github.com/hibiken/asynq"
)

// The classes of failures that make a dead letter, beside those that a
// renderer names itself.
const (
	classRender = "render" // any other error
	classPanic  = "panic"
	classStuck  = "stuck"  // no step for too long
	classPoison = "poison" // the process died of it
)

// Classes are those of all dead letters.
var Classes = []string{string(job.BadJob), string(job.OutOfMemory), string(job.NoModel), classPanic, classStuck, classRender, classPoison}

var (
	// errStopped ends a task that is to go back to the head of the queue.
	errStopped = errors.New("the consumer stops")
	// errElsewhere ends a task that another consumer may be able to do.
	errElsewhere = errors.New("left to others")
	// errRedis ends a task that Redis fails: it comes back, with no attempt counted.
	errRedis = errors.New("Redis fails")
	// errCancelled ends the jobs of a cancelled batch.
	errCancelled = errors.New("the batch is cancelled")
	// errStuck cancels a job without progress.
	errStuck = errors.New("no step within the time allowed")
)

// mostCrashes is how many processes a job takes with it, alone in each, before
// it is given up.
const mostCrashes = 3

// panicker is the error of a panic, which the renderer or the consumer caught.
type panicker interface {
	error
	PanicStack() []byte // as debug.Stack has it
}

// panicked is a panic of a renderer.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string      { return fmt.Sprintf("panic: %v", p.value) }
func (p *panicked) PanicStack() []byte { return p.stack }

// classify says what a failed attempt means: the failure's class, and how
// many attempts like this one make a dead letter. Failures of the
// surroundings, Redis and the store, never come here: they are waited out.
func classify(err error, attempts int, alone bool) (class string, limit int) {
	var p panicker
	switch c := job.ClassOf(err); {
	case c == job.BadJob:
		return string(c), 1
	case c == job.OutOfMemory && alone:
		return string(c), 1
	case c != "":
		return string(c), attempts
	case errors.As(err, &p):
		return classPanic, attempts
	case errors.Is(err, errStuck):
		return classStuck, attempts
	default:
		return classRender, attempts
	}
}

// hopeless tells errors of a store that mend themselves from those that
// somebody has to mend.
func hopeless(err error) bool {
	return errors.Is(err, batch.ErrDamaged) || storage.Hopeless(err)
}

// retryDelay is how long a task waits after its n-th failure. A task whose
// consumer died waits no longer: its lease has run out already.
func retryDelay(n int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return 0
	}
	if errors.Is(err, errElsewhere) {
		return backoff(0, elsewhereDelay, elsewhereDelay)
	}
	return backoff(n, time.Second, time.Minute)
}

// elsewhereDelay is how long a task that was left to others stays away. A
// variable for the tests.
var elsewhereDelay = 10 * time.Second

// backoff doubles from least to most, and takes up to half of it away, so that
// those who failed together don't come back together.
func backoff(n int, least, most time.Duration) time.Duration {
	d := most
	if n < 30 && least<<n < most {
		d = least << n
	}
	return d - rand.N(d/2)
}

// pause waits, unless ctx is done before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
