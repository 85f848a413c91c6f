package cli

import (
	"bytes"
	"os"
	"strconv"
)

// resetPeakMemory begins a new peak (proc(5), clear_refs). Where that is
// forbidden the peak is that of the whole process.
func resetPeakMemory() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakMemory is the most memory, in bytes, that the process has had since
// resetPeakMemory; 0 where that is not known.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == "VmHWM:" {
			kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10
		}
	}
	return 0
}
