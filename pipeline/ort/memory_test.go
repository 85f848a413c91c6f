package ort

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHostMemory reads the limits of both versions of control groups.
func TestHostMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known": {nil, 0},
		"the machine's": {map[string]string{"proc/meminfo": "MemTotal:  2048 kB\nMemFree: 1 kB\n", "proc/self/cgroup": "0::/\n"}, 2 << 20},
		"no limit":      {map[string]string{"proc/meminfo": "MemTotal: 2048 kB\n", "proc/self/cgroup": "0::/a\n", "cgroup/a/memory.max": "max\n"}, 2 << 20},
		"version 2":     {map[string]string{"proc/meminfo": "MemTotal: 2048 kB\n", "proc/self/cgroup": "0::/a/b\n", "cgroup/a/memory.max": "1000000\n"}, 1000000},
		"a container's": {map[string]string{"proc/meminfo": "MemTotal: 2048 kB\n", "proc/self/cgroup": "0::/../x\n", "cgroup/memory.max": "500000\n"}, 500000},
		"version 1":     {map[string]string{"proc/meminfo": "MemTotal: 2048 kB\n", "proc/self/cgroup": "4:memory:/a\n3:cpu:/\n", "cgroup/memory/a/memory.limit_in_bytes": "700000\n"}, 700000},
		"above it":      {map[string]string{"proc/meminfo": "MemTotal: 2048 kB\n", "proc/self/cgroup": "4:memory:/a\n", "cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 2 << 20},
	} {
		root := t.TempDir()
		for path, content := range c.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := hostMemory(filepath.Join(root, "proc"), filepath.Join(root, "cgroup")); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
