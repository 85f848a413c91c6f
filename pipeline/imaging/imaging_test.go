package imaging

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"regexp"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/job"
)

func about(prompt string) About {
	negative := "blurry, dark"
	return About{
		Job: job.Spec{
			ID: "line-7", Kind: job.Generate, Model: "house@" + strings.Repeat("ab", 32), Prompt: prompt, NegativePrompt: &negative,
			Seed: 1<<64 - 1, Steps: 28, Sampler: "dpmpp_2m", Schedule: "karras", GuidanceScale: 6.5, GuidanceEnd: 1,
			ClipSkip: 1, Width: 4, Height: 3, Format: "png", Labels: map[string]any{"set": "a"},
		},
		Model: "house", Digest: strings.Repeat("ab", 32),
		MadeWith: job.MadeWith{Darkroom: "0.1.0", ONNXRuntime: "1.32.0", Provider: "cpu", Device: "a CPU", Level: "all"},
	}
}

func pixels() *Bitmap {
	b := NewBitmap(4, 3, 3)
	for i := range b.Pix {
		b.Pix[i] = uint8(7 * i)
	}
	return b
}

// TestUpscaleText holds what is said of pictures that were enlarged.
func TestUpscaleText(t *testing.T) {
	after := about("a red circle")
	after.Job.Upscale = &job.Upscaling{Model: "large@" + strings.Repeat("cd", 32), Scale: 2.5}
	after.Job.Width, after.Job.Height = 2, 2
	network := after
	network.Job = job.Spec{Kind: job.Upscale, Model: "large@" + strings.Repeat("cd", 32), Scale: 2, Seed: 7}
	network.Model, network.Digest = "large", strings.Repeat("cd", 32)
	pipeline := after
	pipeline.Job = job.Spec{Kind: job.Upscale, Model: "x4@" + strings.Repeat("ef", 32), Prompt: "a cat", Scale: 4, NoiseLevel: new(20), Steps: 75, Sampler: "ddim", GuidanceScale: 9, Seed: 7}
	pipeline.Model, pipeline.Digest = "x4", strings.Repeat("ef", 32)
	for _, c := range []struct {
		about About
		want  string
	}{
		{after, "Size: 2x2, Model hash: ababababab, Model: house, Clip skip: 2, Postprocess upscale by: 2.5, Postprocess upscale to: 4x3, Postprocess upscaler: large, RNG: CPU, Version: darkroom 0.1.0"},
		{network, "\nSize: 4x3, Model hash: cdcdcdcdcd, Model: large, Postprocess upscale by: 2, Postprocess upscaler: large, Version: darkroom 0.1.0"},
		{pipeline, "a cat\nSteps: 75, Sampler: DDIM, CFG scale: 9, Seed: 7, Size: 4x3, Model hash: efefefefef, Model: x4, Postprocess upscale by: 4, Postprocess upscaler: x4, Noise level: 20, RNG: CPU, Version: darkroom 0.1.0"},
	} {
		if got := infotext(c.about, pixels()); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s\nwant\n%s", got, c.want)
		}
	}
}

func TestPNG(t *testing.T) {
	data, err := PNG(pixels(), about("a red circle"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	checkPixels(t, picture, 0)
	texts := chunks(t, data)
	want := "a red circle\nNegative prompt: blurry, dark\n" +
		"Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 4x3, " +
		"Model hash: ababababab, Model: house, Clip skip: 2, RNG: CPU, Version: darkroom 0.1.0"
	if got := texts["tEXt parameters"]; got != want {
		t.Errorf("infotext:\n%s\nwant\n%s", got, want)
	}
	var described struct {
		Job      map[string]any
		Model    string
		MadeWith job.MadeWith `json:"made_with"`
	}
	if err := json.Unmarshal([]byte(texts["iTXt darkroom"]), &described); err != nil {
		t.Fatal(err)
	}
	if described.MadeWith != about("").MadeWith || described.Job["prompt"] != "a red circle" || described.Model != "house" {
		t.Errorf("darkroom: %+v", described)
	}
	for _, absent := range []string{"id", "labels"} {
		if _, ok := described.Job[absent]; ok {
			t.Errorf("the picture's bytes depend on the line's %s", absent)
		}
	}
	if !strings.Contains(texts["iTXt "+xmpKey], `Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"`) {
		t.Errorf("XMP: %q", texts["iTXt "+xmpKey])
	}
}

// TestEditsSayWhatTheyAre holds what an edit's file says beside a picture's.
func TestEditsSayWhatTheyAre(t *testing.T) {
	a := about("a hat")
	a.Job.Kind, a.Job.Image, a.Job.Strength, a.Job.MaskBlur = job.Edit, "inputs/"+strings.Repeat("cd", 32)+".png", .6, 4
	data, err := PNG(pixels(), a)
	if err != nil {
		t.Fatal(err)
	}
	texts := chunks(t, data)
	if got := texts["tEXt parameters"]; !strings.Contains(got, "Denoising strength: 0.6, Mask blur: 4, ") {
		t.Errorf("infotext: %s", got)
	}
	if !strings.Contains(texts["iTXt "+xmpKey], `digitalsourcetype/compositeWithTrainedAlgorithmicMedia"`) {
		t.Errorf("XMP: %q", texts["iTXt "+xmpKey])
	}
	if !strings.Contains(texts["iTXt darkroom"], `"image":"`+strings.Repeat("cd", 32)+`"`) {
		t.Errorf("darkroom: %s", texts["iTXt darkroom"])
	}
}

func TestPNGIsTheSameEveryTime(t *testing.T) {
	first, err := PNG(pixels(), about("x"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := PNG(pixels(), about("x"))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two encodings differ (%v)", err)
	}
}

// TestPNGTextEncodings holds that Latin-1 goes into tEXt and all else into iTXt.
func TestPNGTextEncodings(t *testing.T) {
	for prompt, kind := range map[string]string{
		"déjà vu": "tEXt", "two\nlines": "tEXt", "猫 on a mat": "iTXt", "a bell \a": "iTXt", "curly “quotes”": "iTXt",
	} {
		data, err := PNG(pixels(), about(prompt))
		if err != nil {
			t.Fatal(err)
		}
		if got := chunks(t, data)[kind+" parameters"]; !strings.HasPrefix(got, prompt+"\n") {
			t.Errorf("%q: %s holds %q", prompt, kind, got)
		}
	}
}

// TestInfotextIsRead takes the infotext apart as its readers do.
func TestInfotextIsRead(t *testing.T) {
	a := about("a cat, sitting")
	a.Model = `odd: "name", really`
	a.Job.Control = []job.Control{{Model: "edges@" + strings.Repeat("ed", 32), Scale: .5, End: .75, Preprocess: "canny", GuessMode: true}}
	text := infotext(a, pixels())
	last := text[strings.LastIndexByte(text, '\n')+1:]
	reader := regexp.MustCompile(`\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)`)
	got := map[string]string{}
	for _, match := range reader.FindAllStringSubmatch(last, -1) {
		value := match[2]
		if strings.HasPrefix(value, `"`) {
			if err := json.Unmarshal([]byte(value), &value); err != nil {
				t.Fatal(err)
			}
		}
		got[match[1]] = value
	}
	for key, want := range map[string]string{
		"Steps": "28", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "Seed": "18446744073709551615", "Model": a.Model, "Version": "darkroom 0.1.0",
		"ControlNet 0": "Module: canny, Model: edges [edededed], Weight: 0.5, Guidance Start: 0, Guidance End: 0.75, Control Mode: ControlNet is more important",
	} {
		if got[key] != want {
			t.Errorf("%s is read as %q, want %q", key, got[key], want)
		}
	}
}

func TestJPEG(t *testing.T) {
	long := strings.Repeat("very ", 30000) + "long"
	data, err := JPEG(pixels(), about(long))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	checkPixels(t, picture, 60) // 4:2:0 on a 4x3 picture
	if !bytes.Contains(data, []byte("http://ns.adobe.com/xap/1.0/\x00<?xpacket")) {
		t.Error("no XMP")
	}
	if !bytes.Contains(data, []byte("Steps: 28, Sampler: DPM++ 2M")) {
		t.Error("no infotext")
	}
}

func TestNPY(t *testing.T) {
	data := NPY([]float32{1, 2, 3, 4, 5, 6}, 1, 2, 3)
	head := "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }"
	if !bytes.HasPrefix(data, []byte(head)) {
		t.Errorf("the header is %q", data[:min(len(data), 80)])
	}
	if len(data) != 128+6*4 || data[127] != '\n' {
		t.Errorf("%d bytes, the last of the header %q", len(data), data[127])
	}
	if bits := binary.LittleEndian.Uint32(data[128+4:]); bits != 0x40000000 {
		t.Errorf("the second number is %#x, want 2", bits)
	}
}

func checkPixels(t *testing.T, picture image.Image, tolerance int) {
	t.Helper()
	if picture.Bounds() != image.Rect(0, 0, 4, 3) {
		t.Fatalf("the picture is %v", picture.Bounds())
	}
	for i, want := range pixels().Pix {
		r, g, b, _ := picture.At(i/3%4, i/12).RGBA()
		got := []uint32{r, g, b}[i%3] >> 8
		if off := int(got) - int(want); off > tolerance || -off > tolerance {
			t.Fatalf("value %d is %d, want %d", i, got, want)
		}
	}
}

// chunks returns a PNG's texts by kind and keyword, and checks their sums.
func chunks(t *testing.T, data []byte) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for rest := data[8:]; len(rest) > 0; {
		n := binary.BigEndian.Uint32(rest)
		kind, body := string(rest[4:8]), rest[8:8+n]
		if sum := binary.BigEndian.Uint32(rest[8+n:]); sum != crc32.ChecksumIEEE(rest[4:8+n]) {
			t.Errorf("%s: wrong checksum", kind)
		}
		key, value, _ := strings.Cut(string(body), "\x00")
		switch kind {
		case "tEXt":
			runes := make([]rune, len(value))
			for i := range len(value) {
				runes[i] = rune(value[i])
			}
			texts[kind+" "+key] = string(runes)
		case "iTXt":
			texts[kind+" "+key] = value[4:]
		}
		rest = rest[12+n:]
	}
	return texts
}
