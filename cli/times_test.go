package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 28, 12, 30, 0, 0, paris)
	for text, want := range map[string]string{
		"2026-04-01T02:00":          "2026-04-01T02:00:00+02:00",
		"2026-04-01 02:00":          "2026-04-01T02:00:00+02:00",
		"2026-04-01T02:00:30":       "2026-04-01T02:00:30+02:00",
		"2026-04-01T02:00Z":         "2026-04-01T02:00:00Z",
		"2026-04-01T02:00+09:00":    "2026-04-01T02:00:00+09:00",
		"2026-04-01T02:00:00-05:30": "2026-04-01T02:00:00-05:30",
		"12:31":                     "2026-03-28T12:31:00+01:00",
		"12:30":                     "2026-03-29T12:30:00+02:00", // now is past, and the clock is set forward that night
		"02:00":                     "2026-03-29T03:00:00+02:00", // the next night has no 2 o'clock
	} {
		if got, err := parseTime(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2", "tomorrow", "2026-04-01", "2026-04-31T02:00", "25:00", "2026-03-29T02:30", "2026-04-01T02:00 CET"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
