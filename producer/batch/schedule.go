package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/darkroom/darkroom/storage"
)

// Schedule is a batch that opens by itself: once, at a given time, or at each
// slot of a cron expression. In the store it is
//
//	schedules/<name>/schedule.json                  written last: what is here
//	schedules/<name>/manifest/<digest>/00000.jsonl  the checked lines of every slot
//	schedules/<name>/settled.json                   the last slot that ran or was left out
//
// and on the queue one task, for the next slot, whose id is the schedule and
// the slot: whoever enqueues it, it is there once. The task of a slot opens the
// slot's batch and enqueues the task of the next one. What is lost with Redis
// comes back from the store ([Queue.TendSchedules]).
type Schedule struct {
	Name     string    `json:"-"`
	Template string    `json:"batch"`          // the batches' name, with {date}, {time} and {utc} of the slot
	At       time.Time `json:"at,omitzero"`    // of the one slot
	Cron     string    `json:"cron,omitempty"` // five fields, or @daily and the like
	Zone     string    `json:"tz"`             // in which Cron is read and the slot's date is told
	Missed   Missed    `json:"missed"`         // for a slot that nobody ran in time
	From     time.Time `json:"from"`           // slots after it count
	Queue    string    `json:"queue"`          // whose consumers run it and its batches
	Manifest string    `json:"manifest"`       // as in [Batch], and so the four below
	Lines    int       `json:"lines"`
	Seed     uint64    `json:"seed"`
	Darkroom string    `json:"darkroom"`
}

const schedulesFolder = "schedules"

// Check says what is wrong with a schedule.
func (s Schedule) Check() error {
	times, err := parseSlots(s)
	if err != nil {
		return err
	}
	if s.Missed != MissedRun && s.Missed != MissedSkip {
		return fmt.Errorf("a missed slot: %q, want run or skip", s.Missed)
	}
	slot, ok := times.next(s.From)
	switch {
	case !ok && s.Cron == "":
		return fmt.Errorf("%s is past", s.At.Format(time.RFC3339))
	case !ok:
		return fmt.Errorf("cron expression %q: no day is like that", s.Cron)
	}
	if err := CheckName(expand(s.Template, slot, times.zone)); err != nil {
		return fmt.Errorf("%w; placeholders are {date}, {time} and {utc}", err)
	}
	if err := CheckName(s.Name); err != nil {
		return fmt.Errorf("as a schedule's name, without its placeholders: %w", err)
	}
	// A few slots tell whether the name has what tells them apart.
	for range 100 {
		next, more := times.next(slot)
		if !more {
			break
		}
		if name := expand(s.Template, slot, times.zone); name == expand(s.Template, next, times.zone) {
			return fmt.Errorf("the batch would be named %s at %s and again at %s; placeholders are {date}, {time} and {utc}",
				name, slot.Format(time.RFC3339), next.Format(time.RFC3339))
		}
		slot = next
	}
	return nil
}

// Next is the slot that is to run next, after those that are settled; false
// where there is none.
func (s Schedule) Next(ctx context.Context, store storage.Store) (time.Time, bool, error) {
	times, err := parseSlots(s)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	settled, err := s.settled(ctx, store)
	if err != nil {
		return time.Time{}, false, err
	}
	slot, ok := times.next(settled)
	return slot, ok, nil
}

// Last is the last slot that ran, or was left out, since the schedule was
// saved; false where there is none.
func (s Schedule) Last(ctx context.Context, store storage.Store) (time.Time, bool, error) {
	settled, err := s.settled(ctx, store)
	return settled, err == nil && settled.After(s.From), err
}

// Location is the schedule's time zone.
func (s Schedule) Location() *time.Location {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil { // CheckZone tells of it
		return time.UTC
	}
	return zone
}

// BatchAt is the name of a slot's batch.
func (s Schedule) BatchAt(slot time.Time) string {
	return expand(s.Template, slot, s.Location())
}

// Shared is where the lines that all slots share lie: in the schedule's folder,
// as a batch's would in the batch's. It is no batch.
func (s Schedule) Shared() Batch {
	return Batch{Name: schedulesFolder + "/" + s.Name, Manifest: s.Manifest, Lines: s.Lines}
}

func (s Schedule) file() string        { return schedulesFolder + "/" + s.Name + "/schedule.json" }
func (s Schedule) settledFile() string { return schedulesFolder + "/" + s.Name + "/settled.json" }

// Save writes the schedule, whose lines must be in the store ([Schedule.Shared]).
// One that says the same already stands as it is, with its slots settled so
// far; it is what Save returns.
func (s Schedule) Save(ctx context.Context, store storage.Store) (Schedule, error) {
	if err := s.Check(); err != nil {
		return s, err
	}
	fail := func(err error) (Schedule, error) { return s, fmt.Errorf("saving schedule %s: %w", s.Name, err) }
	data, err := json.Marshal(s)
	if err != nil {
		return fail(err)
	}
	// If absent, so that of two who say it at once the slots of one count.
	err = store.PutIfAbsent(ctx, s.file(), append(data, '\n'))
	if !errors.Is(err, storage.ErrExists) {
		if err != nil {
			return fail(err)
		}
		return s, nil
	}
	there, err := OpenSchedule(ctx, store, s.Name)
	if err != nil && !isAbsent(err) && !errors.Is(err, ErrDamaged) {
		return s, err
	}
	same := s
	same.From, same.At, there.At = there.From, s.At.UTC(), there.At.UTC()
	if err == nil && same == there {
		return there, nil
	}
	if err := store.Put(ctx, s.file(), append(data, '\n')); err != nil {
		return fail(err)
	}
	return s, nil
}

// OpenSchedule reads a schedule; [storage.ErrNotFound] where there is none.
func OpenSchedule(ctx context.Context, store storage.Store, name string) (Schedule, error) {
	s := Schedule{Name: name}
	if err := CheckName(name); err != nil {
		return s, err
	}
	data, err := store.Get(ctx, s.file())
	if err != nil {
		return s, fmt.Errorf("opening schedule %s: %w", name, err)
	}
	err = json.Unmarshal(data, &s)
	if err == nil && (len(s.Manifest) != 64 || s.Lines < 1) {
		err = errors.New("it names no manifest")
	}
	if err == nil {
		_, err = parseSlots(s)
	}
	if err != nil {
		return Schedule{Name: name}, fmt.Errorf("opening schedule %s: %w", name, damaged(s.file(), err, "and enqueue it again"))
	}
	return s, nil
}

// Schedules reads the store's schedules, by name: those that can be read, and
// what is wrong with the others.
func Schedules(ctx context.Context, store storage.Store) ([]Schedule, error) {
	var all []Schedule
	var errs []error
	for name, err := range store.List(ctx, schedulesFolder+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing the schedules: %w", err)
		}
		name, is := strings.CutSuffix(strings.TrimPrefix(name, schedulesFolder+"/"), "/schedule.json")
		if !is || CheckName(name) != nil {
			continue
		}
		s, err := OpenSchedule(ctx, store, name)
		if isAbsent(err) {
			continue // removed just now
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Remove removes a schedule. Batches that it opened stay; its task finds
// nothing to do.
func (s Schedule) Remove(ctx context.Context, store storage.Store) error {
	// First what makes it one: cut off behind that, it is removed.
	err := store.Delete(ctx, s.file())
	for name, listed := range store.List(ctx, schedulesFolder+"/"+s.Name+"/") {
		if err == nil {
			err = listed
		}
		if err == nil {
			err = store.Delete(ctx, name)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("removing schedule %s: %w", s.Name, err)
	}
	return nil
}

// mark is what settled.json holds.
type mark struct {
	Slot time.Time `json:"slot"`
}

// settled is the moment after which slots still count.
func (s Schedule) settled(ctx context.Context, store storage.Store) (time.Time, error) {
	data, err := store.Get(ctx, s.settledFile())
	if isAbsent(err) {
		return s.From, nil
	}
	var m mark
	if err == nil {
		if err = json.Unmarshal(data, &m); err != nil {
			err = damaged(s.settledFile(), err, "and slots that ran are looked at again")
		}
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading how far schedule %s is: %w", s.Name, err)
	}
	if s.From.After(m.Slot) { // saved anew since
		return s.From, nil
	}
	return m.Slot, nil
}

// EnqueueSchedule puts the task of a schedule's next slot on its queue, where
// it isn't.
func (q *Queue) EnqueueSchedule(ctx context.Context, store storage.Store, s Schedule) error {
	slot, ok, err := s.Next(ctx, store)
	if err != nil || !ok {
		return err
	}
	payload, err := json.Marshal(Task{Version: taskVersion, Batch: s.Name, Manifest: s.Manifest, Slot: slot.Unix()})
	if err != nil {
		return err
	}
	at, err := q.At(s.Queue)
	if err != nil {
		return err
	}
	id := "schedule:" + s.Name + ":" + s.Shared().short() + ":" + strconv.FormatInt(slot.Unix(), 10)
	return at.enqueue(ctx, TypeSchedule, id, payload, asynq.ProcessAt(slot))
}

// RunSchedule carries out the task of a slot: it opens the batch of the slot
// that is due, enqueues its first feed, and puts the task of the next slot on
// the queue. It may be called twice, by two consumers, and again after it was
// cut off anywhere: a slot has one batch. A schedule that was removed, or that
// has other lines since, is left alone.
func (q *Queue) RunSchedule(ctx context.Context, store storage.Store, t Task, now time.Time) error {
	s, err := OpenSchedule(ctx, store, t.Batch)
	if isAbsent(err) || err == nil && s.Manifest != t.Manifest {
		return nil
	}
	if err != nil {
		return err
	}
	if slot := time.Unix(t.Slot, 0); slot.After(now) { // by a clock that is a little ahead of ours
		now = slot
	}
	return q.tendSchedule(ctx, store, s, now)
}

// TendSchedules does for every schedule of the queue what its task would do by
// now, and puts back the tasks of next slots that Redis has lost.
func (q *Queue) TendSchedules(ctx context.Context, store storage.Store, now time.Time) error {
	all, err := Schedules(ctx, store)
	errs := []error{err} // of some that can't be read; the others go on
	for _, s := range all {
		if s.Queue == q.name {
			errs = append(errs, q.tendSchedule(ctx, store, s, now))
		}
	}
	return errors.Join(errs...)
}

func (q *Queue) tendSchedule(ctx context.Context, store storage.Store, s Schedule, now time.Time) error {
	fail := func(err error) error { return fmt.Errorf("schedule %s: %w", s.Name, err) }
	times, err := parseSlots(s)
	if err != nil {
		return fail(err)
	}
	if q, err = q.At(s.Queue); err != nil {
		return fail(err)
	}
	settled, err := s.settled(ctx, store)
	if err != nil {
		return err
	}
	slot, run, ok := times.due(settled, now, s.Missed)
	if run {
		if err := q.open(ctx, store, s, s.BatchAt(slot)); err != nil {
			return fail(err)
		}
	}
	if ok {
		data, err := json.Marshal(mark{slot})
		if err == nil {
			err = store.Put(ctx, s.settledFile(), append(data, '\n'))
		}
		if err != nil {
			return fail(err)
		}
	}
	if _, more := times.next(now); !more && s.Cron == "" {
		return s.Remove(ctx, store)
	}
	return q.EnqueueSchedule(ctx, store, s)
}

// open opens the batch of a slot with the schedule's lines, unless it is open
// already, and enqueues its first feed.
func (q *Queue) open(ctx context.Context, store storage.Store, s Schedule, name string) error {
	b := Batch{Name: name, Manifest: s.Manifest, Lines: s.Lines, Seed: s.Seed, Darkroom: s.Darkroom, Queue: s.Queue}
	b, stands, err := b.Settle(ctx, store)
	if err != nil {
		return err
	}
	if !stands {
		shared := s.Shared()
		if err := b.PutManifest(ctx, store, func(shard int) ([]byte, error) { return store.Get(ctx, shared.ShardName(shard)) }); err != nil {
			return err
		}
		if err := b.Save(ctx, store); err != nil {
			return err
		}
	}
	if ended, err := b.ended(ctx, store); err != nil || ended {
		return err
	}
	return q.EnqueueFeed(ctx, b, 0)
}
