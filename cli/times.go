package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
)

// timeFlags say when a batch opens; without any, at once.
type timeFlags struct {
	At     string `placeholder:"TIME" help:"Open the batch at a time, such as 2030-12-24T02:00, or 02:00 for the next one."`
	Cron   string `placeholder:"EXPRESSION" help:"Open a batch at each slot of a cron expression, such as \"0 2 * * *\". --name may hold {date}, {time} and {utc} of the slot; left out, it is the file's name and the date."`
	TZ     string `name:"tz" placeholder:"ZONE" help:"The time zone of --at and --cron, such as Europe/Paris; left out: UTC."`
	Missed string `placeholder:"run|skip" help:"What becomes of a time that comes while no consumer is there: it runs late (the default; of several the last one), or is left out."`
}

// schedule is what the flags make of a batch's name, at a moment; false where
// the batch opens at once.
func (f timeFlags) schedule(name string, now time.Time) (s batch.Schedule, scheduled bool, err error) {
	switch {
	case f.At != "" && f.Cron != "":
		return s, false, errors.New("--at and --cron: a batch has one or the other")
	case f.At == "" && f.Cron == "":
		for flag, value := range map[string]string{"--tz": f.TZ, "--missed": f.Missed} {
			if value != "" {
				return s, false, fmt.Errorf("%s %s goes with --at or --cron", flag, value)
			}
		}
		return s, false, nil
	}
	s = batch.Schedule{Template: name, Cron: f.Cron, Zone: f.TZ, Missed: batch.Missed(f.Missed), From: now}
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	switch f.Missed {
	case "":
		s.Missed = batch.MissedRun
	case "run", "skip":
	default:
		return s, false, fmt.Errorf("--missed %s: want run or skip", f.Missed)
	}
	if f.At != "" {
		if err := batch.CheckZone(s.Zone); err != nil {
			return s, false, fmt.Errorf("--tz: %w", err)
		}
		if s.At, err = parseTime(f.At, now.In(s.Location())); err != nil {
			return s, false, fmt.Errorf("--at %q: %w", f.At, err)
		}
	}
	s.Name = batch.ScheduleName(s.Template)
	if f.Cron != "" && s.Name == s.Template { // no placeholder
		s.Template = name + "-{date}"
		if s.Check() != nil { // more than one a day
			s.Template = name + "-{utc}"
		}
	}
	return s, true, s.Check()
}

// parseTime reads a time, in now's zone where it doesn't say another.
func parseTime(text string, now time.Time) (time.Time, error) {
	zone := now.Location()
	text = strings.Replace(text, " ", "T", 1)
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(form, text, zone); err == nil {
			if at.Format(form) != text {
				err = fmt.Errorf("there is no such time in %v, where the clock is set forward over it", zone)
			}
			return at, err
		}
	}
	if of, err := time.Parse("15:04", text); err == nil {
		at := time.Date(now.Year(), now.Month(), now.Day(), of.Hour(), of.Minute(), 0, 0, zone)
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, of.Hour(), of.Minute(), 0, 0, zone)
		}
		return at, nil
	}
	return time.Time{}, errors.New("want a date and time such as 2030-12-24T02:00, which may have an offset (Z or +01:00), or 02:00 for the next one")
}

// clock tells a time in a zone, for people.
func clock(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04 MST")
}
