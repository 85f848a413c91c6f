package ort

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryForModels is what models may take where the user says nothing: half of
// the device's memory. The other half is for what calls compute with, which for
// a call of several rows may be as large as the weights.
func memoryForModels(p provider) int64 {
	if p.name == cpu {
		return hostMemory("/proc", "/sys/fs/cgroup") / 2
	}
	return gpuMemory() / 2
}

// hostMemory is the machine's memory or what the process's control group may
// have of it, in bytes; 0 where that can't be known.
func hostMemory(proc, groups string) int64 {
	least := int64(0)
	lower := func(n int64) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	info, _ := os.ReadFile(filepath.Join(proc, "meminfo"))
	for line := range strings.Lines(string(info)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			lower(n << 10)
		}
	}
	// A line is "number:controllers:path"; version 2 has one, without controllers.
	// A container sees its own group at the top, whatever its path.
	own, _ := os.ReadFile(filepath.Join(proc, "self", "cgroup"))
	for line := range strings.Lines(string(own)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		folder, file := groups, "memory.max"
		if controllers == "memory" {
			folder, file = filepath.Join(groups, "memory"), "memory.limit_in_bytes"
		} else if controllers != "" {
			continue
		}
		for ; ; path = filepath.Dir(path) {
			limit, _ := os.ReadFile(filepath.Join(folder, path, file))
			n, _ := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64) // "max" is no limit
			lower(n)
			if len(path) <= 1 {
				break
			}
		}
	}
	return least
}

// gpuMemory is the first GPU's memory in bytes; 0 where that can't be known.
func gpuMemory() int64 {
	out, err := exec.Command("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0").Output()
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return n << 20
}
