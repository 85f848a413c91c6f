package batch

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "replay the one random sequence of this seed")
	sequencesFlag = flag.Int("sequences", 100_000, "random sequences of the commit protocol")
)

// TestCommitSequences runs random sequences of events on one line: workers
// that render, fail, lose their task to another or crash between any two calls
// of the store, calls that the store refuses, answers of it that get lost, a
// reconciler, retries of dead letters. However it went, once all is quiet the
// line has exactly one picture with a record that describes it, or exactly one
// dead letter.
//
// Those who act are coroutines, of which one runs at a time, until its next call
// of the store: a seed alone decides what happens. The bubble around them holds
// that nothing else goes on, and nothing by the clock.
func TestCommitSequences(t *testing.T) {
	if *seedFlag != 0 {
		if err := new(stage).sequence(*seedFlag, func(event string) { t.Log(event) }); err != nil {
			t.Fatal(err)
		}
		return
	}
	var mu sync.Mutex
	all := map[string]int{}
	first := rand.Uint64() | 1
	parts := runtime.GOMAXPROCS(0)
	t.Run("parts", func(t *testing.T) {
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ends := map[string]int{}
					stage := &stage{}
					defer stage.close()
					for i := part; i < *sequencesFlag && !t.Failed(); i += parts {
						seed := first + 2*uint64(i)
						if err := stage.sequence(seed, func(event string) { ends[event]++ }); err != nil {
							t.Errorf("%v\nreplay it: go test ./producer/batch -run TestCommitSequences -v -seed %d", err, seed)
						}
					}
					mu.Lock()
					defer mu.Unlock()
					for event, n := range ends {
						all[event] += n
					}
				})
			})
		}
	})
	// The sequences must be of the interesting kind, too.
	for _, event := range []string{
		"end: done", "end: failed", "crash", "refused", "lost answer", "put picture: already there", "put record: already there",
		"delete record", "retry took back a dead letter", "described another's picture", "worker lost its task",
	} {
		if all[event] < *sequencesFlag/1000 {
			t.Errorf("%q came %d times in %d sequences", event, all[event], *sequencesFlag)
		}
	}
	t.Logf("%v", all)
}

// sequence plays one sequence and checks how it ends.
func (st *stage) sequence(seed uint64, log func(event string)) error {
	r := rand.New(rand.NewPCG(seed, 0))
	w := &world{stage: st, random: r, log: log, queued: true}
	w.batch = Batch{Name: "b", Manifest: strings.Repeat("0", 64), Lines: 1}
	w.line = testLine

	for range 4 + r.IntN(40) {
		switch n := r.IntN(20); {
		case n == 0 && len(w.actors) < 4:
			w.spawn(w.reconciler)
		case n == 1 && len(w.actors) < 4:
			w.spawn(w.retry)
		case n <= 4 && len(w.actors) < 4 && w.queued: // a task that runs may be given out again
			w.spawn(w.worker)
		case n == 5 && len(w.actors) > 0:
			w.crash(r.IntN(len(w.actors)))
		case len(w.actors) > 0:
			w.step(r.IntN(len(w.actors)))
		}
	}
	for len(w.actors) > 0 { // those who are left go on, or crash
		if i := r.IntN(len(w.actors)); r.IntN(10) == 0 {
			w.crash(i)
		} else {
			w.step(i)
		}
	}
	w.calm = true
	for range 2 { // a reconciler looks; what has no record is rendered; a reconciler looks
		w.spawn(w.reconciler)
		w.finish()
		if w.queued {
			w.spawn(w.worker)
			w.finish()
		}
	}
	return w.check()
}

// testLine is a resolved line.
var testLine = func() Line {
	spec, faults := job.Decode([]byte(`{"id":"x","prompt":"a circle","seed":7,"labels":{"a":1}}`))
	if faults == nil {
		spec, faults = spec.Resolve(func(string) (job.Model, error) { return testModel, nil })
	}
	if faults != nil {
		panic(faults)
	}
	return Line{Index: 0, Key: spec.Key(), Spec: spec}
}()

var testModel = job.Model{
	Name: "house", Digest: strings.Repeat("ab", 32), Width: 8, Height: 8, Multiple: 8,
	Steps: 4, GuidanceScale: 5, Sampler: "euler", TextLayers: 2,
}

// world is a store, a queue of one task, and those who work on it, one call of
// the store at a time.
type world struct {
	stage  *stage
	random *rand.Rand
	log    func(event string)
	memory storage.Memory
	batch  Batch
	line   Line
	queued bool // the task is on the queue, or with a worker
	calm   bool // nothing fails any more
	actors []*actor
	broken error // a rule of the protocol was broken
}

// actor is a coroutine that acts in one sequence after the other: to begin one
// costs more than to act.
type actor struct {
	act   func(Commit)
	store slowStore
	next  func() (over bool, more bool)
	stop  func()
}

// stage has the actors that have nothing to do.
type stage struct{ idle []*actor }

func (st *stage) close() {
	for _, a := range st.idle {
		a.stop()
	}
}

var errCrashed = errors.New("crashed")

// spawn begins an act, which stops before each call of the store.
func (w *world) spawn(act func(Commit)) {
	var a *actor
	if n := len(w.stage.idle); n > 0 {
		a, w.stage.idle = w.stage.idle[n-1], w.stage.idle[:n-1]
	} else {
		a = &actor{}
		a.next, a.stop = iter.Pull(func(yield func(over bool) bool) {
			a.store.wait = func() { yield(false) }
			for more := true; more; more = yield(true) {
				a.act(Commit{Store: &a.store, Batch: a.store.world.batch})
			}
		})
	}
	a.act, a.store.world, a.store.gone = act, w, false
	w.actors = append(w.actors, a)
}

// step lets an actor make its next call.
func (w *world) step(i int) {
	a := w.actors[i]
	if over, _ := a.next(); over {
		w.actors = slices.Delete(w.actors, i, i+1)
		w.stage.idle = append(w.stage.idle, a)
	}
}

func (w *world) finish() {
	for len(w.actors) > 0 {
		w.step(0)
	}
}

// crash ends an actor before its next call: no other call of it gets through.
func (w *world) crash(i int) {
	w.log("crash")
	w.actors[i].store.gone = true
	for n := len(w.actors); len(w.actors) == n; {
		w.step(i)
	}
}

// worker does what a consumer's handler does.
func (w *world) worker(c Commit) {
	ctx := context.Background()
	// The outcome is the consumer's, not the job's: the same job may fail on
	// one machine, and the bits of another one differ.
	outcome, device := w.random.IntN(10), []string{"a", "b"}[w.random.IntN(2)]
	again := func(do func() (*Record, error)) *Record {
		for {
			r, err := do()
			if err == nil || errors.Is(err, errCrashed) {
				return r
			}
		}
	}
	crashed := false
	r := again(func() (r *Record, err error) {
		r, err = c.Start(ctx, w.line)
		crashed = errors.Is(err, errCrashed)
		return r, err
	})
	if crashed {
		return
	}
	if r == nil {
		switch {
		case w.calm || outcome < 6:
			madeWith := job.MadeWith{Device: device}
			p := job.Picture{Data: fakePNG(madeWith), Ext: "png", Width: 8, Height: 8, MadeWith: madeWith}
			r = again(func() (*Record, error) { return c.Done(ctx, w.line, p, 1) })
			if r != nil && r.Status == Done && r.MadeWith.Device != device {
				w.log("described another's picture")
			}
		case outcome < 9:
			r = again(func() (*Record, error) {
				return c.Fail(ctx, w.line, Failure{Class: "bad_job", Errors: []string{"no"}, Attempts: 1})
			})
		default:
			w.log("worker lost its task")
			return // without having done anything: the task is given out again
		}
	}
	if r != nil {
		w.queued = false // acknowledged
	}
}

// reconciler does what Reconcile does with a line, and enqueues it if need be.
func (w *world) reconciler(c Commit) {
	for {
		r, err := c.Start(context.Background(), w.line)
		if err == nil && r == nil {
			w.queued = true
		}
		if err == nil || errors.Is(err, errCrashed) {
			return
		}
	}
}

func (w *world) retry(c Commit) {
	if was, _ := c.Retry(context.Background(), w.line); was {
		w.log("retry took back a dead letter")
		w.queued = true
	}
}

// check holds the invariants when all is quiet.
func (w *world) check() error {
	if w.broken != nil {
		return w.broken
	}
	ctx := context.Background()
	objects := map[string][]byte{}
	for name := range w.memory.List(ctx, "") {
		objects[name], _ = w.memory.Get(ctx, name)
	}
	picture, hasPicture := objects[w.batch.PictureName(w.line)]
	data, hasRecord := objects[w.batch.RecordName(w.line)]
	if len(objects) > 2 || !hasRecord {
		return fmt.Errorf("the store holds %v", slices.Collect(maps.Keys(objects)))
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	switch {
	case w.queued:
		return errors.New("the task is still there")
	case r.Status == Failed && !hasPicture && len(objects) == 1:
		w.log("end: failed")
		return nil
	case r.Status != Done || !hasPicture:
		return fmt.Errorf("record %s, picture %v", data, hasPicture)
	}
	sum := sha256.Sum256(picture)
	if _, _, madeWith := imaging.Inspect(picture); r.SHA256 != hex.EncodeToString(sum[:]) || !reflect.DeepEqual(r.MadeWith, madeWith) {
		return fmt.Errorf("record %s does not describe the picture that is there", data)
	}
	w.log("end: done")
	return nil
}

// A picture that came between a job's start and its end, and isn't whole, gets no
// record, as one that was there before gets none.
func TestDoneBesideHalfAPicture(t *testing.T) {
	store := &storage.Memory{}
	c := Commit{Store: store, Batch: Batch{Name: "b", Manifest: strings.Repeat("0", 64), Lines: 1}}
	picture := fakePNG(job.MadeWith{})
	if err := store.Put(t.Context(), c.Batch.PictureName(testLine), picture[:len(picture)-1]); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Done(t.Context(), testLine, job.Picture{Data: picture, Ext: "png"}, 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.Batch.ReadRecord(t.Context(), store, testLine); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%+v, %v: want no record", r, err)
	}
}

// slowStore is an actor's way to the store: it waits for its turn before each
// call, may refuse it, and may lose the answer.
type slowStore struct {
	world *world
	wait  func()
	gone  bool // its actor has crashed
}

func (s *slowStore) turn() error {
	if !s.gone {
		s.wait()
	}
	switch {
	case s.gone:
		return errCrashed
	case !s.world.calm && s.world.random.IntN(20) == 0:
		s.world.log("refused")
		return errors.New("slow down")
	}
	return nil
}

// answer is the store's, or that of a broken connection.
func (s *slowStore) answer(what, name string, err error) error {
	kind := " picture"
	if strings.HasSuffix(name, ".json") {
		kind = " record"
	}
	if errors.Is(err, storage.ErrExists) {
		kind += ": already there"
	}
	s.world.log(what + kind)
	if !s.world.calm && s.world.random.IntN(12) == 0 {
		s.world.log("lost answer")
		return errors.New("connection reset")
	}
	return err
}

func (s *slowStore) Get(ctx context.Context, name string) ([]byte, error) {
	if err := s.turn(); err != nil {
		return nil, err
	}
	data, err := s.world.memory.Get(ctx, name)
	if err := s.answer("get", name, err); err != nil {
		return nil, err
	}
	return data, nil
}

func (s *slowStore) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := s.turn(); err != nil {
		return err
	}
	return s.answer("put", name, s.world.memory.PutIfAbsent(ctx, name, data))
}

func (s *slowStore) Delete(ctx context.Context, name string) error {
	if err := s.turn(); err != nil {
		return err
	}
	if !strings.HasSuffix(name, ".json") {
		s.world.broken = fmt.Errorf("picture %s was deleted", name)
	}
	return s.answer("delete", name, s.world.memory.Delete(ctx, name))
}

func (s *slowStore) Put(_ context.Context, name string, _ []byte) error {
	s.world.broken = fmt.Errorf("%s was put without a look at what is there", name)
	return s.turn()
}

func (s *slowStore) List(context.Context, string) iter.Seq2[string, error] {
	panic("the protocol lists nothing")
}

// fakePNG is a picture as far as a record goes: its header and what made it.
func fakePNG(madeWith job.MadeWith) []byte {
	text, err := json.Marshal(map[string]any{"made_with": madeWith})
	if err != nil {
		panic(err)
	}
	file := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, body []byte) {
		file = binary.BigEndian.AppendUint32(file, uint32(len(body)))
		sum := crc32.ChecksumIEEE(append([]byte(kind), body...))
		file = binary.BigEndian.AppendUint32(slices.Concat(file, []byte(kind), body), sum)
	}
	chunk("IHDR", []byte{0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0})
	chunk("iTXt", slices.Concat([]byte("darkroom\x00\x00\x00\x00\x00"), text))
	chunk("IEND", nil)
	return file
}
