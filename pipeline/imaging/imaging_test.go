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

func pixels() []uint8 {
	p := make([]uint8, 3*4*3)
	for i := range p {
		p[i] = uint8(7 * i)
	}
	return p
}

func TestPNG(t *testing.T) {
	data, err := PNG(pixels(), 4, 3, about("a red circle"))
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

func TestPNGIsTheSameEveryTime(t *testing.T) {
	first, err := PNG(pixels(), 4, 3, about("x"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := PNG(pixels(), 4, 3, about("x"))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two encodings differ (%v)", err)
	}
}

// TestPNGTextEncodings holds that Latin-1 goes into tEXt and all else into iTXt.
func TestPNGTextEncodings(t *testing.T) {
	for prompt, kind := range map[string]string{
		"déjà vu": "tEXt", "two\nlines": "tEXt", "猫 on a mat": "iTXt", "a bell \a": "iTXt", "curly “quotes”": "iTXt",
	} {
		data, err := PNG(pixels(), 4, 3, about(prompt))
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
	text := infotext(a)
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
	} {
		if got[key] != want {
			t.Errorf("%s is read as %q, want %q", key, got[key], want)
		}
	}
}

func TestJPEG(t *testing.T) {
	long := strings.Repeat("very ", 30000) + "long"
	data, err := JPEG(pixels(), 4, 3, about(long))
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
	for i, want := range pixels() {
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
