package batch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestSlots(t *testing.T) {
	for _, c := range []struct {
		name, cron, from string
		want             []string
	}{
		{"a night", "0 2 * * *", "2026-06-01T12:00:00Z", []string{"2026-06-02T02:00:00+02:00", "2026-06-03T02:00:00+02:00"}},
		{"the clock is set forward over it", "0 2 * * *", "2026-03-28T00:00:00Z", []string{"2026-03-28T02:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"a half hour later", "30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"each hour, forward", "0 * * * *", "2026-03-29T00:30:00+01:00", []string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"each hour, back", "0 * * * *", "2026-10-25T01:30:00+02:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"the day after it is set back", "0 4 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T04:00:00+01:00", "2026-10-26T04:00:00+01:00"}},
	} {
		s, err := parseSlots(Schedule{Cron: c.cron, Zone: "Europe/Paris"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for when := at(t, c.from); len(got) < len(c.want); {
			when, _ = s.next(when)
			got = append(got, when.Format(time.RFC3339))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func TestDue(t *testing.T) {
	s, err := parseSlots(Schedule{Cron: "0 2 * * *", Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	settled := at(t, "2026-06-01T02:00:00Z")
	for _, c := range []struct {
		now    string
		missed Missed
		slot   string // empty: none
		run    bool
	}{
		{"2026-06-02T01:59:59Z", MissedRun, "", false},
		{"2026-06-02T02:00:00Z", MissedSkip, "2026-06-02T02:00:00Z", true},
		{"2026-06-02T02:10:00Z", MissedSkip, "2026-06-02T02:00:00Z", true},
		{"2026-06-02T02:10:01Z", MissedSkip, "2026-06-02T02:00:00Z", false},
		{"2026-06-05T12:00:00Z", MissedRun, "2026-06-05T02:00:00Z", true},
		{"2026-06-05T12:00:00Z", MissedSkip, "2026-06-05T02:00:00Z", false},
	} {
		slot, run, ok := s.due(settled, at(t, c.now), c.missed)
		if run != c.run || ok != (c.slot != "") || ok && !slot.Equal(at(t, c.slot)) {
			t.Errorf("%s, %s: %v %v %v", c.now, c.missed, slot, run, ok)
		}
	}
}

// A schedule that nobody ran for ages is settled as quickly as one of last night.
func TestDueAfterAges(t *testing.T) {
	now := at(t, "2026-06-05T12:00:30Z")
	for cron, want := range map[string]string{"* * * * *": "2026-06-05T12:00:00Z", "0 0 29 2 *": "2024-02-29T00:00:00Z"} {
		s, err := parseSlots(Schedule{Cron: cron, Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		found := make(chan time.Time, 1)
		go func() {
			slot, _, _ := s.due(time.Time{}, now, MissedRun)
			found <- slot
		}()
		select {
		case slot := <-found:
			if !slot.Equal(at(t, want)) {
				t.Errorf("%s: %v, want %s", cron, slot, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: still looking", cron)
		}
	}
}

// Where one begins to look makes no difference to the slot that is found.
func TestDueFromAnywhere(t *testing.T) {
	for _, cron := range []string{"0 * * * *", "30 2 * * *", "15 2 25-31 * *"} {
		s, err := parseSlots(Schedule{Cron: cron, Zone: "Europe/Paris"})
		if err != nil {
			t.Fatal(err)
		}
		for _, night := range []string{"2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"} { // the clock is set
			settled := at(t, night).AddDate(0, 0, -5)
			last := settled
			for now := settled; now.Before(at(t, night).AddDate(0, 0, 3)); now = now.Add(10 * time.Minute) {
				for next, more := s.next(last); more && !next.After(now); next, more = s.next(next) {
					last = next
				}
				if slot, _, ok := s.due(settled, now, MissedRun); ok == last.Equal(settled) || ok && !slot.Equal(last) {
					t.Fatalf("%s at %v: %v, %v, want %v", cron, now, slot, ok, last)
				}
			}
		}
	}
}

func TestScheduleCheck(t *testing.T) {
	good := Schedule{Name: "night", Template: "night-{date}", Cron: "0 2 * * *", Zone: "Europe/Paris", Missed: MissedRun, From: at(t, "2026-06-01T00:00:00Z")}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(s *Schedule){
		`time zone "Europe/Pariss": want a name such as`: func(s *Schedule) { s.Zone = "Europe/Pariss" },
		`time zone "Local": want`:                        func(s *Schedule) { s.Zone = "Local" },
		`cron expression "0 25 * * *": `:                 func(s *Schedule) { s.Cron = "0 25 * * *" },
		"@every has no slots":                            func(s *Schedule) { s.Cron = "@every 5m" },
		"the time zone stands beside it":                 func(s *Schedule) { s.Cron = "TZ=UTC 0 2 * * *" },
		"no day is like that":                            func(s *Schedule) { s.Cron = "0 0 30 2 *" },
		"2026-05-31T00:00:00Z is past":                   func(s *Schedule) { s.Cron, s.At = "", at(t, "2026-05-31T00:00:00Z") },
		`"later", want run or skip`:                      func(s *Schedule) { s.Missed = "later" },
		"named night at ":                                func(s *Schedule) { s.Template = "night" },
		"named night-2026-06-01 at ":                     func(s *Schedule) { s.Cron = "0 * * * *" },
		"placeholders are {date}, {time} and {utc}":      func(s *Schedule) { s.Template = "night-{day}" },
		"either one time or a cron expression":           func(s *Schedule) { s.At = at(t, "2026-06-05T00:00:00Z") },
	} {
		s := good
		spoil(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// newSchedule puts a schedule of two lines that runs at 2 each night.
func newSchedule(t testing.TB, store storage.Store) Schedule {
	t.Helper()
	b := newBatch(t, store, 2, 0)
	s := Schedule{Name: "night", Template: "night-{date}", Cron: "0 2 * * *", Zone: "Europe/Paris", Missed: MissedRun,
		From: at(t, "2126-06-01T00:00:00Z"), Queue: "q", Manifest: b.Manifest, Lines: 2, Darkroom: "test"}
	shard, err := store.Get(t.Context(), b.ShardName(0))
	if err == nil {
		err = store.Put(t.Context(), s.Shared().ShardName(0), shard)
	}
	if err == nil {
		_, err = s.Save(t.Context(), store)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// states are the ids of the queue's tasks: scheduled ones, and those that wait.
func states(t testing.TB, q *Queue) (scheduled, pending []string) {
	t.Helper()
	later, err := q.inspector.ListScheduledTasks(q.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range later {
		scheduled = append(scheduled, info.ID)
	}
	now, err := q.inspector.ListPendingTasks(q.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range now {
		pending = append(pending, info.ID)
	}
	return scheduled, pending
}

// Two schedulers, each with a connection of its own, and the tending of two
// consumers: one task a slot, one batch, one feed.
func TestTwoSchedulers(t *testing.T) {
	url, _ := redistest.Start(t)
	store := &storage.Memory{}
	s := newSchedule(t, store)
	const each = 8
	slot := at(t, "2126-06-01T02:00:00+02:00").Add(24 * time.Hour)
	var queues []*Queue
	for range 2 {
		q, err := OpenQueue(t.Context(), url, "q")
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		queues = append(queues, q)
	}
	together := func(do func(q *Queue) error) {
		t.Helper()
		var all sync.WaitGroup
		for i := range 2 * each {
			all.Go(func() {
				if err := do(queues[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	together(func(q *Queue) error {
		saved, err := s.Save(t.Context(), store)
		return errors.Join(err, q.EnqueueSchedule(t.Context(), store, saved))
	})
	scheduled, pending := states(t, queues[0])
	if len(scheduled) != 1 || len(pending) != 0 {
		t.Fatalf("before the slot: scheduled %v, pending %v", scheduled, pending)
	}
	task := Task{Version: taskVersion, Batch: s.Name, Manifest: s.Manifest, Slot: slot.Unix()}
	together(func(q *Queue) error { return q.RunSchedule(t.Context(), store, task, slot) })
	together(func(q *Queue) error { return q.TendSchedules(t.Context(), store, slot) })
	b, err := Open(t.Context(), store, "night-2126-06-02")
	if err != nil || b.Lines != 2 || b.Queue != "q" {
		t.Fatalf("%+v, %v", b, err)
	}
	scheduled, pending = states(t, queues[0])
	if len(pending) != 1 || !strings.Contains(pending[0], ":feed:0") {
		t.Errorf("pending %v, want one feed", pending)
	}
	if len(scheduled) != 2 || scheduled[0] == scheduled[1] { // nobody ran the first one's task here
		t.Errorf("scheduled %v, want the slots of two nights", scheduled)
	}
	if err := queues[0].Clear(t.Context()); err != nil { // Redis comes back empty
		t.Fatal(err)
	}
	together(func(q *Queue) error { return q.TendSchedules(t.Context(), store, slot) })
	if again, pending := states(t, queues[0]); len(again) != 1 || len(pending) != 0 {
		t.Errorf("after Redis was empty: scheduled %v, pending %v", again, pending)
	}
}

// A slot that was cut off between any two calls of the store runs whole when
// it is run again, and a cancelled one stays cancelled.
func TestScheduleCutOff(t *testing.T) {
	slot := at(t, "2126-06-02T02:00:00+02:00")
	for calls := 0; ; calls++ {
		memory := &storage.Memory{}
		s := newSchedule(t, memory)
		q, err := OpenQueue(t.Context(), "", "q")
		if err != nil {
			t.Fatal(err)
		}
		task := Task{Version: taskVersion, Batch: s.Name, Manifest: s.Manifest, Slot: slot.Unix()}
		first := q.RunSchedule(t.Context(), &cutStore{Store: memory, left: calls}, task, slot)
		if err := q.RunSchedule(t.Context(), memory, task, slot); err != nil {
			t.Fatal(err)
		}
		if _, pending := states(t, q); len(pending) != 1 {
			t.Errorf("cut off after %d calls: pending %v", calls, pending)
		}
		b, err := Open(t.Context(), memory, "night-2126-06-02")
		if err != nil {
			t.Fatal(err)
		}
		if err := Cancel(t.Context(), memory, q, b); err != nil {
			t.Fatal(err)
		}
		if err := q.RunSchedule(t.Context(), memory, task, slot); err != nil {
			t.Fatal(err)
		}
		if is, err := b.Cancelled(t.Context(), memory); err != nil || !is {
			t.Errorf("the mark of a cancelled batch: %v, %v", is, err)
		}
		q.Close()
		if first == nil {
			if calls < 5 {
				t.Errorf("only %d calls of the store", calls)
			}
			return
		}
	}
}

// cutStore fails for good after some puts and deletes.
type cutStore struct {
	storage.Store
	left int
}

var errCut = errors.New("cut off")

func (c *cutStore) spend() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func (c *cutStore) Put(ctx context.Context, name string, data []byte) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Store.Put(ctx, name, data)
}

func (c *cutStore) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Store.PutIfAbsent(ctx, name, data)
}

func (c *cutStore) Delete(ctx context.Context, name string) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Store.Delete(ctx, name)
}

// A schedule of one time is gone when it has run, and one that was removed
// opens nothing.
func TestScheduleOnce(t *testing.T) {
	store := &storage.Memory{}
	s := newSchedule(t, store)
	q, err := OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	once := s
	once.Name, once.Template, once.Cron, once.At = "once", "once", "", at(t, "2126-07-01T00:00:00Z")
	shard, err := store.Get(t.Context(), s.Shared().ShardName(0))
	if err == nil {
		err = store.Put(t.Context(), once.Shared().ShardName(0), shard)
	}
	if err == nil {
		_, err = once.Save(t.Context(), store)
	}
	if err == nil {
		err = s.Remove(t.Context(), store)
	}
	const broken = "schedules/broken/schedule.json"
	if err == nil {
		err = store.Put(t.Context(), broken, []byte("{"))
	}
	if err != nil {
		t.Fatal(err)
	}
	// One that can't be read is told of, and holds up no other.
	err = q.TendSchedules(t.Context(), store, once.At.Add(time.Hour))
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), broken) {
		t.Errorf("%v, want that %s is damaged", err, broken)
	}
	if err := (Schedule{Name: "broken"}).Remove(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, "once"); err != nil {
		t.Error(err)
	}
	for name, err := range store.List(t.Context(), "schedules/") {
		t.Errorf("still there: %s, %v", name, err)
	}
	if scheduled, _ := states(t, q); len(scheduled) != 0 {
		t.Errorf("scheduled: %v", scheduled)
	}
}

// Redis comes back empty under a client that lives on, and tasks are enqueued
// twice.
func TestEnqueueAfterEmptyRedis(t *testing.T) {
	bothQueues(t, func(t *testing.T, q *Queue) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := Batch{Name: "b", Manifest: strings.Repeat("0", 64), Lines: 1}
		for range 2 {
			for range 2 {
				if err := q.EnqueueFeed(ctx, b, 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.redis.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
