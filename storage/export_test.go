package storage

import "time"

// SetStall changes how long connections of stores that are opened from now on
// may be silent, and returns what takes the change back.
func SetStall(d time.Duration) (reset func()) {
	was := stall
	stall = d
	return func() { stall = was }
}

// SetMostBytes changes how large an object may be, and returns what takes the
// change back.
func SetMostBytes(n int64) (reset func()) {
	was := mostBytes
	mostBytes = n
	return func() { mostBytes = was }
}
