package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestFlightsForget keeps what was asked for last.
func TestFlightsForget(t *testing.T) {
	f := flights[int, int]{limit: 3}
	made := 0
	ask := func(key int) {
		value, err := f.do(t.Context(), key, func() (int, error) { made++; return key * key, nil })
		if err != nil || value != key*key {
			t.Errorf("%d: %d, %v", key, value, err)
		}
	}
	for key := range 20 {
		ask(0) // asked for all the time, it is made once
		ask(key)
	}
	if made != 20 || len(f.made) != 3 {
		t.Errorf("made %d and keeps %d, want 20 and 3", made, len(f.made))
	}
}

// TestFlightsCutOff ends the maker's context: who waits for the same makes it.
func TestFlightsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := f.do(ctx, "x", func() (int, error) { <-ctx.Done(); return 0, ctx.Err() }); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		}()
		synctest.Wait()
		go func() {
			if value, err := f.do(t.Context(), "x", func() (int, error) { return 7, nil }); value != 7 || err != nil {
				t.Errorf("the second: %d, %v", value, err)
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
	})
}
