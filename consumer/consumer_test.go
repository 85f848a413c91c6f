package consumer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is what the test renderer says of itself.
type model struct{}

func (model) Model(ref string) (job.Model, error) {
	if name, _, _ := strings.Cut(ref, "@"); name != "house" {
		return job.Model{}, fmt.Errorf("unknown name `%s`, did you mean `house`?", ref)
	}
	return job.Model{Name: "house", Digest: strings.Repeat("ab", 32), Width: 8, Height: 8, Multiple: 8, Steps: 4, GuidanceScale: 5, Sampler: "euler", TextLayers: 2}, nil
}

// painter draws a picture from the seed, without a model. Its prompt may tell
// it to fail.
type painter struct {
	renders atomic.Int64
	most    atomic.Int64 // renders at once, at their most
	now     atomic.Int64
	before  func(ctx context.Context, spec job.Spec) error // nil: nothing
}

var paintedWith = job.MadeWith{Darkroom: "test", ONNXRuntime: "none", Provider: "cpu", Device: "paint", Level: "all"}

func (p *painter) Render(ctx context.Context, order job.Order, progress func(step, steps int)) (job.Picture, error) {
	spec := order.Spec
	now := p.now.Add(1)
	defer p.now.Add(-1)
	for most := p.most.Load(); now > most && !p.most.CompareAndSwap(most, now); most = p.most.Load() {
	}
	p.renders.Add(1)
	if p.before != nil {
		if err := p.before(ctx, spec); err != nil {
			return job.Picture{}, err
		}
	}
	for step := range spec.Steps {
		if err := ctx.Err(); err != nil {
			return job.Picture{}, err
		}
		progress(step+1, spec.Steps)
	}
	return paint(spec), nil
}

func paint(spec job.Spec) job.Picture {
	img := image.NewGray(image.Rect(0, 0, spec.Width, spec.Height))
	r := rand.New(rand.NewPCG(spec.Seed, 1))
	for i := range img.Pix {
		img.Pix[i] = uint8(r.Uint32())
	}
	img.SetGray(0, 0, color.Gray{Y: uint8(len(spec.Prompt))})
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		panic(err)
	}
	about, err := json.Marshal(map[string]any{"made_with": paintedWith})
	if err != nil {
		panic(err)
	}
	return job.Picture{
		Data: withText(file.Bytes(), "darkroom", string(about)), Ext: "png", Width: spec.Width, Height: spec.Height,
		Models: map[string]string{"house": strings.Repeat("ab", 32)}, MadeWith: paintedWith, Timing: map[string]float64{"denoise": 1},
	}
}

// withText puts a text chunk behind a PNG's header.
func withText(file []byte, key, text string) []byte {
	const header = 8 + 25
	body := []byte("tEXt" + key + "\x00" + text)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = append(chunk, body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(body))
	return slices.Concat(file[:header], chunk, file[header:])
}

// bothQueues runs a test with Redis inside of the process and with a server.
func bothQueues(t *testing.T, test func(t *testing.T, open func(t *testing.T) *batch.Queue)) {
	opener := func(url string) func(t *testing.T) *batch.Queue {
		return func(t *testing.T) *batch.Queue {
			q, err := batch.OpenQueue(t.Context(), url, "render-test")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { q.Close() })
			return q
		}
	}
	t.Run("inside", func(t *testing.T) { test(t, opener("")) })
	t.Run("server", func(t *testing.T) {
		url, _ := redistest.Start(t)
		test(t, opener(url))
	})
}

// put brings a batch file into a store.
func put(t testing.TB, store storage.Store, lines string) batch.Batch {
	t.Helper()
	m, err := producer.Read(t.Context(), strings.NewReader(lines), producer.Config{
		Name: "b", Source: "b.jsonl", Darkroom: "test", Models: model{}, TempDir: t.TempDir(),
	})
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

// files reads all of a store; of records it leaves out their timing.
func files(t testing.TB, store storage.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := store.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".json") {
			var record map[string]any
			if err := json.Unmarshal(data, &record); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			delete(record, "timing")
			if data, err = json.Marshal(record); err != nil {
				t.Fatal(err)
			}
		}
		all[name] = string(data)
	}
	return all
}

func parseRecord(t testing.TB, data string) (r batch.Record) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// manyLines are n lines of a batch file.
func manyLines(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, `{"id":"line-%d","prompt":"a circle"}`+"\n", i)
	}
	return s.String()
}

func TestRun(t *testing.T) {
	bothQueues(t, func(t *testing.T, open func(t *testing.T) *batch.Queue) {
		store, p := &storage.Memory{}, &painter{}
		b := put(t, store, manyLines(200))
		var told []int
		cfg := consumer.Config{Store: store, Queue: open(t), Renderer: p, Jobs: 2, Log: quiet(), Committed: func(e consumer.Event) {
			told = append(told, e.Record.Index)
			if e.Picture == "" || len(e.Record.Timing) == 0 {
				t.Errorf("line %d was told without its picture or timing: %+v", e.Record.Index, e)
			}
		}}
		counts, err := consumer.Run(t.Context(), cfg, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := (batch.Counts{Lines: 200, Done: 200}); counts != want {
			t.Errorf("counts %+v, want %+v", counts, want)
		}
		slices.Sort(told)
		if len(slices.Compact(told)) != 200 {
			t.Errorf("%d lines were told, want 200", len(told))
		}
		if n := p.renders.Load(); n != 200 {
			t.Errorf("rendered %d times, want 200", n)
		}
		if n := p.most.Load(); n > 2 {
			t.Errorf("%d jobs at once on a device for 2", n)
		}
		all := files(t, store)
		if want := 200*2 + 3; len(all) != want {
			t.Errorf("%d objects in the store, want %d: %v", len(all), want, slices.Sorted(maps.Keys(all)))
		}

		// Again: there is nothing to do, and nothing changes.
		again, err := consumer.Run(t.Context(), cfg, b)
		if err != nil || again != counts || p.renders.Load() != 200 {
			t.Errorf("a second run: %+v, %v, %d renders", again, err, p.renders.Load())
		}
		if !maps.Equal(all, files(t, store)) {
			t.Error("a second run changed the store")
		}
	})
}
