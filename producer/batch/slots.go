package batch

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones, on machines that have none

	"github.com/robfig/cron/v3"
)

// Missed is what becomes of a slot that nobody ran in time.
type Missed string

const (
	MissedRun  Missed = "run"  // it runs late; of several in a row, the last one
	MissedSkip Missed = "skip" // it is left out
)

// late is after how long a slot counts as missed: consumers that are busy get
// to it some time after its moment.
const late = 10 * time.Minute

// slots says when a schedule's slots are: one, or those of a cron expression.
type slots struct {
	once time.Time
	cron cron.Schedule // nil for one
	zone *time.Location
}

// CheckZone says what is wrong with a time zone's name, which must mean the same
// on every machine.
func CheckZone(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return fmt.Errorf("time zone %q: want a name such as Europe/Paris, or UTC", name)
	}
	return nil
}

// parseSlots reads a schedule's times.
func parseSlots(s Schedule) (slots, error) {
	if err := CheckZone(s.Zone); err != nil {
		return slots{}, err
	}
	zone := s.Location()
	switch {
	case s.Cron == "" && s.At.IsZero() || s.Cron != "" && !s.At.IsZero():
		return slots{}, errors.New("a schedule has either one time or a cron expression")
	case s.Cron == "":
		return slots{once: s.At, zone: zone}, nil
	case strings.Contains(s.Cron, "TZ="):
		return slots{}, fmt.Errorf("cron expression %q: the time zone stands beside it, not in it", s.Cron)
	case strings.HasPrefix(s.Cron, "@every"):
		return slots{}, fmt.Errorf("cron expression %q: @every has no slots that two machines agree on; want five fields, such as \"*/30 * * * *\"", s.Cron)
	}
	expression, err := cron.ParseStandard(s.Cron)
	if err != nil {
		return slots{}, fmt.Errorf("cron expression %q: %w; want minute, hour, day of the month, month and day of the week, such as \"0 2 * * *\"", s.Cron, err)
	}
	return slots{cron: expression, zone: zone}, nil
}

// next is the first slot after a moment; false where there is none. Where the
// zone's clock is set forward over a slot, the slot comes as much later: a
// nightly batch has its night. (The cron package would leave it out.)
func (s slots) next(after time.Time) (time.Time, bool) {
	if s.cron == nil {
		return s.once, s.once.After(after)
	}
	after = after.In(s.zone)
	slot := s.cron.Next(after)
	// The same by a clock that is never set.
	w := s.cron.Next(time.Date(after.Year(), after.Month(), after.Day(), after.Hour(), after.Minute(), after.Second(), 0, time.UTC))
	moved := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, s.zone)
	if !w.IsZero() && moved.Hour() != w.Hour() && moved.After(after) && (slot.IsZero() || moved.Before(slot)) {
		slot = moved
	}
	return slot, !slot.IsZero()
}

// due is the slot that is to be settled at a moment, when nothing after a slot
// was: the last one before now. run tells whether it is to run, or was missed
// and is left out. ok is false where no slot has come yet.
func (s slots) due(settled, now time.Time, missed Missed) (slot time.Time, run, ok bool) {
	// Looked for from now back, further each time: a year has half a million minutes.
	for days, from := 1, now; !ok && from.After(settled); days *= 2 {
		if from = now.AddDate(0, 0, -days); from.Before(settled) {
			from = settled
		}
		for next, more := s.next(from); more && !next.After(now); next, more = s.next(next) {
			slot, ok = next, true
		}
	}
	return slot, ok && (missed == MissedRun || now.Sub(slot) <= late), ok
}

// Placeholders in the name of a schedule's batches, and what they become.
var placeholders = []struct {
	name string
	form string
	utc  bool
}{
	{"{date}", "2006-01-02", false},
	{"{time}", "15-04", false},
	{"{utc}", "20060102T150405Z", true}, // unlike the two above, it comes once in the night that the clock is set back
}

// expand is the name of a slot's batch.
func expand(template string, slot time.Time, zone *time.Location) string {
	for _, p := range placeholders {
		at := slot.In(zone)
		if p.utc {
			at = slot.UTC()
		}
		template = strings.ReplaceAll(template, p.name, at.Format(p.form))
	}
	return template
}

// ScheduleName is the name of the schedule whose batches are named by a
// template: the template without its placeholders and what joins them.
func ScheduleName(template string) string {
	for _, p := range placeholders {
		template = strings.ReplaceAll(template, p.name, "")
	}
	return strings.Trim(template, "-_.")
}
