package producer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// models knows one model, and counts how often it is asked.
type models struct{ asked atomic.Int32 }

func (m *models) Model(ref string) (job.Model, error) {
	m.asked.Add(1)
	if name, _, _ := strings.Cut(ref, "@"); name != "house" {
		return job.Model{}, fmt.Errorf("unknown name `%s`, did you mean `house`?", ref)
	}
	return job.Model{Name: "house", Digest: strings.Repeat("ab", 32), Width: 8, Height: 8, Multiple: 8, Steps: 4, GuidanceScale: 5, Sampler: "euler", TextLayers: 2}, nil
}

func config(t testing.TB) producer.Config {
	return producer.Config{Name: "b", Source: "b.jsonl", Seed: 100, Darkroom: "test", Models: &models{}, TempDir: t.TempDir()}
}

// manifest reads lines and returns the manifest's jobs.
func manifest(t *testing.T, cfg producer.Config, lines string) []job.Spec {
	t.Helper()
	m, err := producer.Read(t.Context(), strings.NewReader(lines), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	store := &storage.Memory{}
	b, err := m.Put(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	var specs []job.Spec
	sum := sha256.New()
	for shard := range b.Shards() {
		data, err := store.Get(t.Context(), b.ShardName(shard))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(data)
		for line := range bytes.Lines(data) {
			spec, faults := job.Decode(bytes.TrimSpace(line))
			if faults != nil {
				t.Fatal(faults)
			}
			specs = append(specs, spec)
		}
	}
	if len(specs) != b.Lines {
		t.Fatalf("%d lines in the shards, batch.json says %d", len(specs), b.Lines)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != b.Manifest {
		t.Errorf("the manifest's digest is %s, want %s", b.Manifest, got)
	}
	return specs
}

// Lines come out in order, expanded, with seeds that count on over all lines.
func TestReadExpands(t *testing.T) {
	cfg := config(t)
	specs := manifest(t, cfg, "\xef\xbb\xbf"+`{"prompt":"first"}`+"\r\n\r\n  \n"+
		`{"prompt":"<b> & n","n":3,"id":"x"}`+"\n"+`{"prompt":"given","seed":5,"n":2}`+"\n"+`{"prompt":"last"}`)
	want := []struct {
		prompt, id string
		seed       uint64
	}{{"first", "", 100}, {"<b> & n", "x-0", 101}, {"<b> & n", "x-1", 102}, {"<b> & n", "x-2", 103}, {"given", "", 5}, {"given", "", 6}, {"last", "", 106}}
	if len(specs) != len(want) {
		t.Fatalf("%d lines, want %d", len(specs), len(want))
	}
	for i, w := range want {
		if s := specs[i]; s.Prompt != w.prompt || s.ID != w.id || s.Seed != w.seed || s.Steps != 4 || s.N != 0 {
			t.Errorf("line %d: %q %q seed %d steps %d n %d, want %+v", i, s.Prompt, s.ID, s.Seed, s.Steps, s.N, w)
		}
	}
	if asked := cfg.Models.(*models).asked.Load(); asked != 1 {
		t.Errorf("the model was looked up %d times, want once", asked)
	}
}

// Many chunks and shards, some lines that expand to many: order holds.
func TestReadManyLines(t *testing.T) {
	var text strings.Builder
	for i := range 9_000 {
		n := 1
		if i%1000 == 7 {
			n = 2000
		}
		fmt.Fprintf(&text, `{"prompt":"line %d","n":%d}`+"\n", i, n)
	}
	specs := manifest(t, config(t), text.String())
	if want := 9_000 + 9*1999; len(specs) != want {
		t.Fatalf("%d lines, want %d", len(specs), want)
	}
	line := 0
	for i, s := range specs {
		if s.Seed != 100+uint64(i) {
			t.Fatalf("line %d has seed %d", i, s.Seed)
		}
		if i > 0 && s.Prompt != specs[i-1].Prompt {
			line++
		}
		if s.Prompt != fmt.Sprintf("line %d", line) {
			t.Fatalf("line %d is %q, want line %d", i, s.Prompt, line)
		}
	}
}

func TestReadNamesBadLines(t *testing.T) {
	long := `{"prompt":"` + strings.Repeat("x", 10<<20) + `"}`
	text := strings.Join([]string{
		`{"prompt":"good"}`,
		`{"prompt":"a","steps":0,"sampler":"eular"}`,
		`{"prompt":`,
		long,
		`{"model":"hause"}`,
		``,
		`{"id":"twice"}`,
		`{"id":"a","n":2}`,
		`{"id":"twice"}`,
		`{"id":"a-1"}`,
		`{"seed":18446744073709551615,"n":2}`,
	}, "\n")
	store := t.TempDir()
	cfg := config(t)
	cfg.TempDir = store
	_, err := producer.Read(t.Context(), strings.NewReader(text), cfg)
	var bad *producer.BadBatch
	if !errors.As(err, &bad) {
		t.Fatalf("%v, want a BadBatch", err)
	}
	for _, want := range []string{
		"b.jsonl:2: `steps`: out of range: `0`, want a whole number from 1 to 1000",
		"b.jsonl:3: ",
		fmt.Sprintf("b.jsonl:4: a line of %d bytes, want at most 1 MiB", len(long)+1),
		"b.jsonl:5: `model`: unknown name `hause`, did you mean `house`?",
		"b.jsonl:9: `id`: line 7 has it already: `twice`, want each id once",
		"b.jsonl:10: `id`: line 8 has it already: `a-1`, want each id once",
		"b.jsonl:11: `seed`: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error has no %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	var numbers []int
	for _, line := range bad.Lines {
		numbers = append(numbers, line.Number)
	}
	if fmt.Sprint(numbers) != "[2 3 4 5 9 10 11]" || bad.More != 0 {
		t.Errorf("bad lines %v and %d more", numbers, bad.More)
	}
	if left, _ := os.ReadDir(store); len(left) != 0 {
		t.Errorf("%v is left in the temporary folder", left)
	}
}

func TestReadManyBadLines(t *testing.T) {
	for _, c := range []struct{ name, line string }{
		{"bad field", `{"steps":0}`},
		{"one id", `{"id":"x"}`},
	} {
		_, err := producer.Read(t.Context(), strings.NewReader(strings.Repeat(c.line+"\n", 5001)), config(t))
		var bad *producer.BadBatch
		if !errors.As(err, &bad) {
			t.Fatalf("%s: %v", c.name, err)
		}
		want := map[string]int{"bad field": 4901, "one id": 4900}[c.name]
		if len(bad.Lines) != 100 || bad.More != want || !strings.HasSuffix(err.Error(), fmt.Sprintf("and %d more bad lines", want)) {
			t.Errorf("%s: %d lines and %d more, want 100 and %d", c.name, len(bad.Lines), bad.More, want)
		}
	}
}

func TestReadNothing(t *testing.T) {
	for _, text := range []string{"", "\n\n \r\n", "\xef\xbb\xbf"} {
		_, err := producer.Read(t.Context(), strings.NewReader(text), config(t))
		if err == nil || err.Error() != "b.jsonl: there is no line in it, want one JSON object a line" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

type brokenFile struct{ text io.Reader }

func (b brokenFile) Read(p []byte) (int, error) {
	if n, err := b.text.Read(p); err == nil {
		return n, nil
	}
	return 0, errors.New("input/output error")
}

func TestReadFails(t *testing.T) {
	_, err := producer.Read(t.Context(), brokenFile{strings.NewReader(strings.Repeat(`{"prompt":"a"}`+"\n", 3000))}, config(t))
	if err == nil || !strings.Contains(err.Error(), "reading b.jsonl: input/output error") {
		t.Errorf("%v", err)
	}
	var bad *producer.BadBatch
	if errors.As(err, &bad) {
		t.Error("a file that can't be read is no bad batch")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := producer.Read(ctx, strings.NewReader("{}"), config(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it cancelled", err)
	}
}

// The same name with other lines: batch.json names the new manifest, and the
// layout stays, so that pictures keep their names.
func TestPutOtherLines(t *testing.T) {
	store := &storage.Memory{}
	put := func(text string) batch.Batch {
		m, err := producer.Read(t.Context(), strings.NewReader(text), config(t))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		b, err := m.Put(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	small := put(strings.Repeat("{}\n", 10))
	large := put(strings.Repeat("{}\n", 10_001))
	if small.Folders || large.Folders {
		t.Error("a batch that grew changed its layout")
	}
	if small.Manifest == large.Manifest || large.Shards() != 2 {
		t.Errorf("%+v, then %+v", small, large)
	}
	if now, err := batch.Open(t.Context(), store, "b"); err != nil || now != large {
		t.Errorf("%+v, %v", now, err)
	}
	if again := put(strings.Repeat("{}\n", 10)); again != small {
		t.Errorf("%+v, want %+v", again, small)
	}
}

// BenchmarkManifest checks a million lines and brings them into the manifest.
// peak-MiB is the heap at its most while they are read.
func BenchmarkManifest(b *testing.B) {
	const lines = 1_000_000
	var peak uint64
	for b.Loop() {
		runtime.GC()
		var stats runtime.MemStats
		file := &endless{lines: lines, every: func() {
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
		}}
		m, err := producer.Read(b.Context(), file, config(b))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Put(b.Context(), discard{}); err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// endless is a long batch file that is made as it is read.
type endless struct {
	lines, at int
	every     func() // called at each 50,000th line
	left      []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.left) == 0 {
		if e.at == e.lines {
			return 0, io.EOF
		}
		if e.at%50_000 == 0 {
			e.every()
		}
		e.left = fmt.Appendf(e.left[:0], `{"id":"line-%07d","prompt":"a red circle above a blue square, number %d","negative_prompt":"blurred","steps":20,"sampler":"dpmpp_2m","guidance_scale":6.5,"labels":{"shape":"circle","number":%d}}`+"\n", e.at, e.at, e.at)
		e.at++
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

// discard is an empty store that keeps nothing.
type discard struct{ storage.Store }

func (discard) Get(context.Context, string) ([]byte, error)       { return nil, storage.ErrNotFound }
func (discard) Put(context.Context, string, []byte) error         { return nil }
func (discard) PutIfAbsent(context.Context, string, []byte) error { return nil }
func (discard) Delete(context.Context, string) error              { return nil }
