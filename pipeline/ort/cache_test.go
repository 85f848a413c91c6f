package ort

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/noise"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// caching returns a runtime that caches graphs of any size, and what it logs.
func caching(t testing.TB, folder string) (*Runtime, *bytes.Buffer) {
	t.Helper()
	open(t)
	var log bytes.Buffer
	r, err := Open(Options{Library: os.Getenv("DARKROOM_ONNXRUNTIME"), Device: "cpu", Cache: folder, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	r.worth = 0
	return r, &log
}

// graphAt describes a file with one output of that name.
func graphAt(t testing.TB, path, output string) pipeline.GraphFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Outputs(), func(p pipeline.Port) bool { return p.Name == output })
	return pipeline.GraphFile{Name: path, Digest: path, Path: path, Inputs: m.Inputs(), Outputs: m.Outputs()[i : i+1], Size: int64(len(data))}
}

func tinyUNet(t testing.TB) pipeline.GraphFile {
	return graphAt(t, "../testdata/sd/unet/model.onnx", "out_sample")
}

// predict loads a UNet and runs two rows of noise.
func predict(t testing.TB, r *Runtime, file pipeline.GraphFile) []float32 {
	t.Helper()
	graph, err := r.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	defer graph.Close()
	sample, hidden, out := floats("sample", 2, 4, 8, 8), floats("encoder_hidden_states", 2, 77, 16), floats("out_sample", 2, 4, 8, 8)
	generator := noise.New(3)
	generator.Normal(sample.Floats)
	generator.Normal(hidden.Floats)
	call, err := graph.Bind([]pipeline.Tensor{sample, {Name: "timestep", Floats: []float32{700}}, hidden}, []pipeline.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	if err := call.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.Floats
}

func entries(t testing.TB, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "graphs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCachedGraph holds that a graph from the cache has the bits of the file's,
// and that the file isn't opened for it.
func TestCachedGraph(t *testing.T) {
	want := predict(t, open(t), tinyUNet(t))
	folder := t.TempDir()
	for i, file := range []pipeline.GraphFile{tinyUNet(t), tinyUNet(t)} {
		if i == 1 {
			file.Path = filepath.Join(folder, "gone.onnx")
		}
		r, log := caching(t, folder)
		if got := predict(t, r, file); !slices.Equal(got, want) {
			t.Errorf("start %d: other numbers than without a cache", i+1)
		}
		if log.Len() > 0 {
			t.Errorf("start %d: %s", i+1, log)
		}
		if got := entries(t, folder); len(got) != 1 {
			t.Errorf("start %d: the cache holds %v", i+1, got)
		}
	}
}

// TestCacheKeys holds that neither another graph nor another processor gets an
// entry.
func TestCacheKeys(t *testing.T) {
	open(t) // whose version is a part of the key
	c, again := cache{folder: "x", maker: maker()}, cache{folder: "x", maker: maker()}
	other := c
	other.maker += " avx512"
	if c.path("a") != again.path("a") || c.path("a") == c.path("a-rows") || c.path("a") == other.path("a") {
		t.Error("different graphs or processors share an entry")
	}
	if !strings.Contains(c.maker, "1.") || runtime.GOOS == "linux" && len(c.maker) < 100 {
		t.Errorf("an entry depends on %q only", c.maker)
	}
}

// TestDamagedEntries breaks an entry in many ways: the graph is made anew, with
// a warning, and its bits are the same.
func TestDamagedEntries(t *testing.T) {
	want := predict(t, open(t), tinyUNet(t))
	for name, damage := range map[string]func(t *testing.T, entry string) error{
		"cut off weights":      func(_ *testing.T, entry string) error { return os.Truncate(filepath.Join(entry, savedWeights), 100) },
		"no weights":           func(_ *testing.T, entry string) error { return os.Remove(filepath.Join(entry, savedWeights)) },
		"a cut off graph":      func(_ *testing.T, entry string) error { return os.Truncate(filepath.Join(entry, savedGraph), 100) },
		"no sums":              func(_ *testing.T, entry string) error { return os.Remove(filepath.Join(entry, sumsFile)) },
		"empty sums":           func(_ *testing.T, entry string) error { return os.Truncate(filepath.Join(entry, sumsFile), 0) },
		"one bit":              flip(savedWeights),
		"one bit of the graph": flip(savedGraph),
		"no graph, but sums": func(_ *testing.T, entry string) error {
			if err := os.WriteFile(filepath.Join(entry, savedGraph), []byte("these are words"), 0o644); err != nil {
				return err
			}
			os.Remove(filepath.Join(entry, sumsFile))
			return writeSums(entry)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			r, log := caching(t, folder)
			predict(t, r, tinyUNet(t))
			if err := damage(t, entries(t, folder)[0]); err != nil {
				t.Fatal(err)
			}
			if got := predict(t, r, tinyUNet(t)); !slices.Equal(got, want) {
				t.Error("other numbers than without a cache")
			}
			if !strings.Contains(log.String(), "made anew") {
				t.Errorf("it says %q", log)
			}
			log.Reset()
			file := tinyUNet(t)
			file.Path = filepath.Join(folder, "gone.onnx")
			if got := predict(t, r, file); !slices.Equal(got, want) || log.Len() > 0 {
				t.Errorf("the entry was not made anew: %s", log)
			}
		})
	}
}

// flip changes one bit in a file's middle.
func flip(name string) func(*testing.T, string) error {
	return func(t *testing.T, entry string) error {
		path := filepath.Join(entry, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		return os.WriteFile(path, data, 0o644)
	}
}

// TestCacheIsBounded holds that the entries used longest ago go, and that what
// a killed process left goes with them.
func TestCacheIsBounded(t *testing.T) {
	folder := t.TempDir()
	r, log := caching(t, folder)
	file := tinyUNet(t)
	digests := []string{"a", "b", "c", "d"}
	past := time.Now().Add(-48 * time.Hour)
	for i, digest := range digests[:3] {
		file.Digest = digest
		predict(t, r, file)
		at := past.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(r.cache.path(digest), sumsFile), at, at); err != nil {
			t.Fatal(err)
		}
	}
	file.Digest = "a"
	predict(t, r, file) // now b was used longest ago
	left := filepath.Join(folder, "graphs", unfinished+"1")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, past, past); err != nil {
		t.Fatal(err)
	}
	var size int64
	files, _ := filepath.Glob(filepath.Join(r.cache.path("a"), "*"))
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	r.cache.limit = 3*size + size/2
	file.Digest = "d"
	predict(t, r, file)
	for _, digest := range digests {
		if _, err := os.Stat(r.cache.path(digest)); (err == nil) != (digest != "b") {
			t.Errorf("%s: %v", digest, err)
		}
	}
	if _, err := os.Stat(left); err == nil || log.Len() > 0 {
		t.Errorf("left behind: %v; %s", err, log)
	}
	r.cache.limit = 100
	file.Digest = "e"
	predict(t, r, file)
	if _, err := os.Stat(r.cache.path("e")); err == nil {
		t.Error("a graph larger than the cache was saved")
	}
}

// TestCacheIsShared has many make and use one entry at a time.
func TestCacheIsShared(t *testing.T) {
	want := predict(t, open(t), tinyUNet(t))
	folder := t.TempDir()
	var wait sync.WaitGroup
	for range 8 {
		r, log := caching(t, folder)
		wait.Go(func() {
			for range 3 {
				if got := predict(t, r, tinyUNet(t)); !slices.Equal(got, want) {
					t.Error("other numbers than without a cache")
				}
			}
			if log.Len() > 0 {
				t.Error(log)
			}
		})
	}
	wait.Wait()
	content, err := os.ReadDir(filepath.Join(folder, "graphs"))
	if err != nil || len(content) != 1 {
		t.Errorf("the cache holds %v: %v", content, err)
	}
}

// TestNoRoom lets no file grow beyond some size, as a full disk does, and then
// takes the folder away: both are a warning.
func TestNoRoom(t *testing.T) {
	want := predict(t, open(t), tinyUNet(t))
	folder := t.TempDir()
	r, log := caching(t, folder)
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 150_000 // go test's own log of what the tests read is smaller
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	got := predict(t, r, tinyUNet(t))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) || !strings.Contains(log.String(), "can't be saved") {
		t.Errorf("no room: same numbers %v; %s", slices.Equal(got, want), log)
	}
	if content, _ := os.ReadDir(filepath.Join(folder, "graphs")); len(content) != 0 {
		t.Errorf("no room, and there is %v", content)
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, log = caching(t, file)
	if got := predict(t, r, tinyUNet(t)); !slices.Equal(got, want) || !strings.Contains(log.String(), "can't be saved") {
		t.Errorf("no folder: same numbers %v; %s", slices.Equal(got, want), log)
	}
}

// BenchmarkLoad makes the sessions of a model without and with the cache. The
// rule for which graphs are cached, worthCaching, is drawn from it.
// DARKROOM_BENCH_MODEL names a folder; left out, it is the house model.
func BenchmarkLoad(b *testing.B) {
	model := os.Getenv("DARKROOM_BENCH_MODEL")
	if model == "" {
		model = "../../models/house"
	}
	for part, output := range map[string]string{"text_encoder": "last_hidden_state", "unet": "out_sample", "vae_decoder": "sample"} {
		file := graphAt(b, filepath.Join(model, part, "model.onnx"), output)
		for _, cached := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/cached=%v", part, cached), func(b *testing.B) {
				r, log := caching(b, b.TempDir())
				if !cached {
					r.cache = nil
				}
				load := func() {
					graph, err := r.Load(file)
					if err != nil {
						b.Fatal(err)
					}
					graph.Close()
				}
				if cached {
					load()
				}
				for b.Loop() {
					load()
				}
				if log.Len() > 0 {
					b.Error(log)
				}
			})
		}
	}
}
