package consumer

import "time"

// Stall sets after how long without a commit a run enqueues again, and returns
// what sets it back.
func Stall(d time.Duration) (restore func()) {
	was := stalled
	stalled = d
	return func() { stalled = was }
}

// Elsewhere sets how long a task that was left to others stays away, and
// returns what sets it back.
func Elsewhere(d time.Duration) (restore func()) {
	was := elsewhereDelay
	elsewhereDelay = d
	return func() { elsewhereDelay = was }
}
