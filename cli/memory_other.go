//go:build !linux

package cli

func resetPeakMemory() {}

// peakMemory is not known here.
func peakMemory() int64 { return 0 }
