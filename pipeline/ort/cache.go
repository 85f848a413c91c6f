package ort

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cache keeps graphs as ONNX Runtime has optimised them, which takes most of
// the time of making a session of a large one. An entry is a folder, named by a
// digest of the graph and of all that its optimised form depends on:
//
//	model.onnx  the optimised graph
//	weights     its initializers, but for the smallest
//	sums        the sizes and checksums of the two
//
// An entry appears in one step, so that any number of processes may share the
// folder, and one that doesn't match its sums counts as none.
type cache struct {
	folder string
	limit  int64  // of all entries, bytes
	maker  string // what optimised graphs depend on beside the graph
	log    *slog.Logger
}

const (
	savedGraph   = "model.onnx"
	savedWeights = "weights"
	sumsFile     = "sums"
	unfinished   = ".new-" // how the names of folders begin that aren't entries yet, or no longer
)

// cacheLimit holds a few models of Stable Diffusion's size, 4.3 GB each, or one
// of SDXL's.
const cacheLimit = 20 << 30

// worthCaching is the size of the graphs that gain by it. Those of 1 MB are
// loaded in 15 ms, and in 6 from the cache; the house UNet's 9 MB in 130 and 35;
// Stable Diffusion 1.5's 3.4 GB in 15 s and 1.2 (BenchmarkLoad).
const worthCaching = 4 << 20

// path is where the entry of a graph is, if there is one. The graph's digest
// tells its contents, edits included.
func (c *cache) path(digest string) string {
	sum := sha256.Sum256([]byte(digest + "\n" + c.maker))
	return filepath.Join(c.folder, fmt.Sprintf("%x", sum[:16]))
}

// find tells whether the entry is there and whole, and marks it as used.
func (c *cache) find(entry string) bool {
	err := checkSums(entry)
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(filepath.Join(entry, sumsFile), now, now) // else it goes a little earlier
		return true
	}
	if _, gone := os.Stat(entry); gone == nil {
		c.log.Warn("a saved graph is damaged: it is made anew", "folder", entry, "reason", err)
		c.remove(entry)
	}
	return false
}

// begin makes the folder that a new entry is written to.
func (c *cache) begin() (string, error) {
	if err := os.MkdirAll(c.folder, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(c.folder, unfinished)
}

// commit makes what was written to a folder of begin's the entry, and drops
// entries that others push out.
func (c *cache) commit(folder, entry string) error {
	if err := writeSums(folder); err != nil {
		return err
	}
	if err := os.Rename(folder, entry); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	os.RemoveAll(folder) // another process was faster
	c.prune(entry)
	return nil
}

// prune removes the entries that were used longest ago until the rest fits, and
// what a process that was killed left behind.
func (c *cache) prune(newest string) {
	type saved struct {
		path string
		size int64
		used time.Time
	}
	var entries []saved
	var all int64
	folders, _ := os.ReadDir(c.folder)
	for _, folder := range folders {
		path := filepath.Join(c.folder, folder.Name())
		if strings.HasPrefix(folder.Name(), unfinished) {
			if info, err := folder.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
				os.RemoveAll(path)
			}
			continue
		}
		e := saved{path: path}
		files, _ := os.ReadDir(path)
		for _, file := range files {
			if info, err := file.Info(); err == nil {
				e.size += info.Size()
				if file.Name() == sumsFile {
					e.used = info.ModTime()
				}
			}
		}
		all += e.size
		if path != newest {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b saved) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path)) })
	for _, e := range entries {
		if all <= c.limit {
			return
		}
		c.remove(e.path)
		all -= e.size
	}
}

// remove takes an entry away in one step. Sessions that were made of it keep
// their files.
func (c *cache) remove(entry string) {
	aside, err := os.MkdirTemp(c.folder, unfinished)
	if err == nil {
		err = os.Rename(entry, filepath.Join(aside, "entry"))
		os.RemoveAll(aside)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("a saved graph can't be removed", "folder", entry, "reason", err)
	}
}

// writeSums flushes a new entry's files to the disk and writes down their sizes
// and checksums.
func writeSums(folder string) error {
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range files {
		size, sum, err := checksum(filepath.Join(folder, file.Name()), true)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%08x %d %s\n", sum, size, file.Name())
	}
	return os.WriteFile(filepath.Join(folder, sumsFile), []byte(sums.String()), 0o644)
}

func checkSums(folder string) error {
	file, err := os.Open(filepath.Join(folder, sumsFile))
	if err != nil {
		return err
	}
	defer file.Close()
	listed := 0
	for lines := bufio.NewScanner(file); lines.Scan(); listed++ {
		var want uint32
		var bytes int64
		var name string
		if _, err := fmt.Sscanf(lines.Text(), "%x %d %s", &want, &bytes, &name); err != nil {
			return fmt.Errorf("%s: %w", sumsFile, err)
		}
		size, sum, err := checksum(filepath.Join(folder, name), false)
		if err != nil {
			return err
		}
		if size != bytes || sum != want {
			return fmt.Errorf("%s has %d bytes and the checksum %08x, not %d and %08x", name, size, sum, bytes, want)
		}
	}
	if listed == 0 {
		return fmt.Errorf("%s is empty", sumsFile)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum reads a file whole; it runs as fast as memory, and the session needs
// the pages next.
func checksum(path string, sync bool) (size int64, sum uint32, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	if sync {
		if err := file.Sync(); err != nil {
			return 0, 0, err
		}
	}
	hash := crc32.New(castagnoli)
	size, err = io.CopyBuffer(hash, file, make([]byte, 1<<20))
	return size, hash.Sum32(), err
}
