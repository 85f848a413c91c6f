package pipeline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/ort/orttest"
)

// openUpscalers returns a renderer with the networks of testdata/upscalers and
// the built-in models on a runtime, which is ONNX Runtime's where it is nil.
func openUpscalers(t testing.TB, runtime pipeline.Runtime) (*pipeline.Renderer, *pipeline.Library) {
	t.Helper()
	if runtime == nil {
		runtime = orttest.Open(t)
	}
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{"testdata/upscalers"}, Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	renderer := pipeline.New(runtime, library, "0.0.0")
	t.Cleanup(renderer.Close)
	return renderer, library
}

func encodePNG(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// upscale renders an upscale of a picture, whatever the line names as its image.
func upscale(t testing.TB, renderer *pipeline.Renderer, library *pipeline.Library, line string, picture image.Image) (job.Picture, image.Image) {
	t.Helper()
	spec := resolve(t, library, line)
	data := encodePNG(t, picture)
	made, err := renderer.Render(t.Context(), job.Order{Spec: spec, Input: func(context.Context, string) ([]byte, error) { return data, nil }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made, decodePNG(t, made.Data)
}

// TestNetworks enlarges what torch enlarged with the same weights, the whole
// picture at once: testdata/make_upscalers.py.
func TestNetworks(t *testing.T) {
	renderer, library := openUpscalers(t, nil)
	for name, off := range map[string][2]float64{
		"esrgan": {1, .01}, "folding": {1, .01}, "fixed": {1, .01}, "attentive": {1, .01},
		"windows": {1, .01}, "gray": {1, .01}, "half": {2, .1},
	} {
		t.Run(name, func(t *testing.T) {
			picture := render(t, renderer, resolve(t, library, `{"kind": "upscale", "image": "inputs/picture.png", "model": "`+name+`"}`))
			want := decodePNG(t, mustRead(t, filepath.Join("testdata/enlarged", name+".png")))
			compare(t, decodePNG(t, picture.Data), want, off[0], off[1])
			if picture.Width != want.Bounds().Dx() || picture.Models[name] == "" || picture.MadeWith.Level != "all" || picture.Timing["upscale"] <= 0 {
				t.Errorf("%+v", picture)
			}
		})
	}
}

// scene is a picture with gradients, edges and fine lines.
func scene(width, height int) *image.NRGBA {
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			at := picture.PixOffset(x, y)
			shade := uint8(x*255/width/2 + y*255/height/2)
			picture.Pix[at], picture.Pix[at+1], picture.Pix[at+2], picture.Pix[at+3] = shade, 255-shade, uint8(x*y%97), 255
			if (x-width/2)*(x-width/2)+(y-height/2)*(y-height/2) < width*height/9 || x%23 == 0 {
				picture.Pix[at], picture.Pix[at+1] = 240, 30
			}
		}
	}
	return picture
}

// cramped is a device whose lanes have so little memory that tiles are small.
func cramped(t testing.TB, memory int64) pipeline.Runtime {
	return shaped{orttest.Open(t), pipeline.Device{Lanes: 2, Rows: 4, Memory: memory}}
}

// TestTiles holds that a picture in many tiles is that in one, but for
// what ONNX Runtime rounds otherwise in calls of another size, where the network
// looks no further than the tiles' margin; and nearly where it looks at everything.
func TestTiles(t *testing.T) {
	whole, library := openUpscalers(t, nil)
	picture := scene(300, 200)
	for name, c := range map[string]struct {
		memory int64
		level  string
		most   float64
		mean   float64
	}{
		"house-upscale": {4 * 3 * 48 * 80 * 80 * 2, "all, tiles of 64x64", 1, .001},
		"esrgan":        {4 * 3 * 128 * 100 * 100 * 2, "all, tiles of 96x96", 1, .001},
		"attentive":     {4 * 3 * 12 * 96 * 96 * 2, "all, tiles of 96x96", 6, 1},
	} {
		t.Run(name, func(t *testing.T) {
			line := `{"kind": "upscale", "image": "inputs/picture.png", "model": "` + name + `"}`
			_, want := upscale(t, whole, library, line, picture)
			tiled, _ := openUpscalers(t, cramped(t, c.memory))
			made, got := upscale(t, tiled, library, line, picture)
			if made.MadeWith.Level != c.level {
				t.Errorf("the level is %q, want %q", made.MadeWith.Level, c.level)
			}
			compare(t, got, want, c.most, c.mean)
		})
	}
}

// TestFewSizes holds that a device which takes long for each new size of a call
// gets few of them.
func TestFewSizes(t *testing.T) {
	var mu sync.Mutex
	sizes := map[string]bool{}
	device := pipeline.Device{Lanes: 1, Rows: 8, Fixed: true, Tunes: true, Memory: 4 * 3 * 48 * 70 * 70}
	runtime := &hooked{shaped{orttest.Open(t), device}, func(ctx context.Context, c *hookedCall) error {
		mu.Lock()
		sizes[fmt.Sprint(c.inputs[0].Shape)] = true
		mu.Unlock()
		return c.Call.Run(ctx)
	}}
	tuned, library := openUpscalers(t, runtime)
	whole, _ := openUpscalers(t, nil)
	const line = `{"kind": "upscale", "image": "inputs/picture.png"}`
	for _, side := range []int{30, 50, 64, 100, 130, 170} {
		_, got := upscale(t, tuned, library, line, scene(side, side+1))
		_, want := upscale(t, whole, library, line, scene(side, side+1))
		if side > 64 { // smaller ones end within a tile, and not with it
			compare(t, got, want, 1, .001)
		}
	}
	delete(sizes, "[1 3 17 17]") // how it is found out how much larger pictures become
	if len(sizes) != 1 || !sizes["[1 3 64 64]"] {
		t.Errorf("calls of the sizes %v", sizes)
	}
}

// TestScales holds how a picture gets other scales than the network's: in passes
// until it is large enough, and then reduced.
func TestScales(t *testing.T) {
	renderer, library := openUpscalers(t, nil)
	picture := scene(60, 40)
	draw := func(scale string, picture image.Image) (job.Picture, image.Image) {
		return upscale(t, renderer, library, `{"kind": "upscale", "image": "inputs/picture.png", "model": "esrgan"`+scale+`}`, picture)
	}
	_, once := draw("", picture)
	_, twice := draw("", once)
	unknown := resolve(t, library, `{"kind": "upscale", "image": "inputs/picture.png", "model": "esrgan"}`)
	unknown.Scale = 0 // as it is where the graph doesn't tell
	if made := render(t, renderer, unknown); made.Width != 4*51 || made.Height != 4*53 {
		t.Errorf("without a scale the picture has %dx%d pixels", made.Width, made.Height)
	}
	for scale, want := range map[string]image.Image{
		"1": reduce(t, once, 60, 40), "1.01": reduce(t, once, 61, 40), "2.5": reduce(t, once, 150, 100), "4": once,
		"5": reduce(t, twice, 300, 200), "16": twice,
	} {
		made, got := draw(`, "scale": `+scale, picture)
		if got.Bounds() != want.Bounds() || made.Width != got.Bounds().Dx() || made.Height != got.Bounds().Dy() {
			t.Errorf("scale %s: %v, want %v", scale, got.Bounds(), want.Bounds())
			continue
		}
		compare(t, got, want, 0, 0)
	}
}

func reduce(t *testing.T, picture image.Image, width, height int) image.Image {
	t.Helper()
	file, err := imaging.Open(encodePNG(t, picture))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := file.RGB()
	if err != nil {
		t.Fatal(err)
	}
	bitmap = bitmap.Resize(width, height)
	reduced := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(reduced.Pix[4*i:], append(bitmap.Pix[3*i:3*i+3:3*i+3], 255))
	}
	return reduced
}

// TestUpscaleAfter holds that an upscale of a job's own picture is that of its
// file, and what its file and its record say.
func TestUpscaleAfter(t *testing.T) {
	renderer, library := openUpscalers(t, nil)
	const line = `{"prompt": "a red circle", "seed": 3, "steps": 2, "sampler": "heun"`
	plain := decodePNG(t, render(t, renderer, resolve(t, library, line+"}")).Data)
	_, want := upscale(t, renderer, library, `{"kind": "upscale", "image": "inputs/picture.png"}`, plain)

	spec := resolve(t, library, line+`, "upscale": {"model": "house-upscale"}}`)
	var progress []string
	made, err := renderer.Render(t.Context(), job.Order{Spec: spec}, func(done, all int) { progress = append(progress, fmt.Sprintf("%d/%d", done, all)) })
	if err != nil {
		t.Fatal(err)
	}
	compare(t, decodePNG(t, made.Data), want, 0, 0)
	if made.Width != 512 || made.Height != 512 || len(made.Models) != 2 || made.Models["house-upscale"] == "" {
		t.Errorf("%dx%d of %v", made.Width, made.Height, made.Models)
	}
	if want := []string{"1/3", "2/3", "3/3", "4/4"}; !slices.Equal(progress, want) {
		t.Errorf("progress is %v, want %v", progress, want)
	}
	for _, text := range []string{"Size: 128x128", "Postprocess upscale by: 4", "Postprocess upscaler: house-upscale", "Postprocess upscale to: 512x512"} {
		if !bytes.Contains(made.Data, []byte(text)) {
			t.Errorf("the file says nothing of %q", text)
		}
	}
}

// TestUpscalesBesideOthers holds that an upscale's bits are its own.
func TestUpscalesBesideOthers(t *testing.T) {
	renderer, library := openUpscalers(t, cramped(t, 4*3*128*70*70*2))
	lines := []string{
		`{"kind": "upscale", "image": "inputs/picture.png"}`, `{"kind": "upscale", "image": "inputs/picture.png", "scale": 3}`,
		`{"kind": "upscale", "image": "inputs/picture.png", "model": "attentive", "scale": 7}`,
		`{"prompt": "a blue star", "steps": 3, "seed": 2, "upscale": {"model": "esrgan", "scale": 2}}`,
	}
	var alone [][]byte
	for _, line := range lines {
		alone = append(alone, render(t, renderer, resolve(t, library, line)).Data)
	}
	var done []chan []byte
	for i := range 3 * len(lines) {
		spec := resolve(t, library, lines[i%len(lines)])
		result := make(chan []byte, 1)
		go func() { result <- render(t, renderer, spec).Data }()
		done = append(done, result)
	}
	for i, result := range done {
		if !bytes.Equal(<-result, alone[i%len(lines)]) {
			t.Errorf("%s has other bytes beside other jobs than alone", lines[i%len(lines)])
		}
	}
}

// TestSmallerTiles holds that tiles which find no memory are tried smaller.
func TestSmallerTiles(t *testing.T) {
	runtime := &hooked{orttest.Open(t), func(ctx context.Context, c *hookedCall) error {
		if len(c.inputs[0].Floats) > 3*150*150 {
			return pipeline.ErrOutOfMemory
		}
		return c.Call.Run(ctx)
	}}
	starved, library := openUpscalers(t, runtime)
	const line = `{"kind": "upscale", "image": "inputs/picture.png"}`
	made, got := upscale(t, starved, library, line, scene(300, 200))
	if want := "all, tiles of 128x128"; made.MadeWith.Level != want {
		t.Errorf("the level is %q, want %q", made.MadeWith.Level, want)
	}
	whole, _ := openUpscalers(t, nil)
	_, want := upscale(t, whole, library, line, scene(300, 200))
	compare(t, got, want, 1, .001)

	runtime.run = func(context.Context, *hookedCall) error { return pipeline.ErrOutOfMemory }
	_, err := starved.Render(t.Context(), job.Order{Spec: resolve(t, library, line), Input: testInput}, nil)
	if job.ClassOf(err) != job.OutOfMemory {
		t.Errorf("no memory for any tile: %v", err)
	}
}

// TestCancelledUpscale ends an upscale in the midst of its tiles.
func TestCancelledUpscale(t *testing.T) {
	renderer, library := openUpscalers(t, cramped(t, 4*3*128*70*70*2))
	data := encodePNG(t, scene(400, 400))
	order := job.Order{Spec: resolve(t, library, `{"kind": "upscale", "image": "inputs/picture.png"}`), Input: func(context.Context, string) ([]byte, error) { return data, nil }}
	reason := errors.New("the lamp went out")
	ctx, cancel := context.WithCancelCause(t.Context())
	last, all := 0, 0
	_, err := renderer.Render(ctx, order, func(done, of int) {
		if last, all = done, of; done == 3 {
			cancel(reason)
		}
	})
	if !errors.Is(err, reason) || last != 3 || all < 20 {
		t.Errorf("%v after %d tiles of %d", err, last, all)
	}
}

// TestPreemptedUpscale goes on with an upscale whose picture was painted before.
func TestPreemptedUpscale(t *testing.T) {
	renderer, library := openUpscalers(t, nil)
	spec := resolve(t, library, `{"prompt": "a red circle", "seed": 3, "steps": 4, "upscale": {"model": "house-upscale"}}`)
	want := render(t, renderer, spec)
	ctx, cancel := context.WithCancelCause(t.Context())
	hook := &hooked{orttest.Open(t), func(ctx context.Context, c *hookedCall) error {
		if strings.Contains(c.graph.name, "house-upscale") {
			cancel(job.ErrPreempted)
		}
		return c.Call.Run(ctx)
	}}
	stopped, _ := openUpscalers(t, hook)
	_, err := stopped.Render(ctx, job.Order{Spec: spec}, nil)
	var preempted *job.Preempted
	if !errors.As(err, &preempted) {
		t.Fatalf("%v, want a checkpoint", err)
	}
	evaluations := 0
	again, err := renderer.Render(t.Context(), job.Order{Spec: spec, Checkpoint: &preempted.Checkpoint}, func(int, int) { evaluations++ })
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Data, want.Data) || evaluations != 1 {
		t.Errorf("it went on for %d steps, want the one tile; the same bytes: %v", evaluations, bytes.Equal(again.Data, want.Data))
	}
}

// TestUpscaleFaults feeds what can't be enlarged.
func TestUpscaleFaults(t *testing.T) {
	renderer, library := openUpscalers(t, nil)
	huge := bytes.Clone(encodePNG(t, scene(8, 8)))
	binary.BigEndian.PutUint32(huge[16:], 100_000)
	binary.BigEndian.PutUint32(huge[20:], 100_000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	for _, c := range []struct {
		line, want string
		input      []byte
		class      job.Class
	}{
		{`{}`, "no picture, want a PNG, JPEG, WebP or GIF file", []byte("<svg>"), job.BadJob},
		{`{}`, "a picture of 100000x100000 pixels, want at most", huge, job.BadJob},
		{`{}`, "a png file that ends too early", encodePNG(t, scene(64, 64))[:36], job.BadJob},
		{`{"scale": 5}`, "5 times as large, a picture of 2000x10 pixels has 10000x50, and at most 8192 to a side can be made", encodePNG(t, scene(2000, 10)), job.BadJob},
		{`{"model": "valid"}`, "it makes [1 3 30 30] of a picture of 17x17 pixels: want the same channels, and sides that are a whole multiple", nil, job.BadJob},
		{`{"model": "broken"}`, "holds values that are not numbers", encodePNG(t, image.NewNRGBA(image.Rect(0, 0, 8, 8))), job.BadJob},
	} {
		line := strings.Replace(c.line, "{", `{"kind": "upscale", "image": "inputs/picture.png", `, 1)
		line = strings.Replace(line, ", }", "}", 1)
		if c.input == nil {
			c.input = mustRead(t, "testdata/inputs/picture.png")
		}
		order := job.Order{Spec: resolve(t, library, line), Input: func(context.Context, string) ([]byte, error) { return c.input, nil }}
		_, err := renderer.Render(t.Context(), order, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || job.ClassOf(err) != c.class || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v (%v), want %s", line, err, job.ClassOf(err), c.want)
		}
	}
	if _, err := library.Model("two"); err == nil || !strings.Contains(err.Error(), "it has the inputs image.1, sigma; want one") {
		t.Errorf("two inputs: %v", err)
	}
	cramped, _ := openUpscalers(t, cramped(t, 1<<20))
	_, err := cramped.Render(t.Context(), job.Order{Spec: resolve(t, library, `{"kind": "upscale", "image": "inputs/picture.png"}`), Input: testInput}, nil)
	if want := "a tile of 64x64 pixels takes about 2 MiB, and there are 1: out of memory"; err == nil || !strings.Contains(err.Error(), want) || job.ClassOf(err) != job.OutOfMemory {
		t.Errorf("1 MiB of memory: %v, want %s", err, want)
	}
}
