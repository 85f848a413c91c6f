package imaging

import (
	"image"
	"strings"
	"testing"
)

// TestInspect reads back what both formats were given, however long it is.
func TestInspect(t *testing.T) {
	// An infotext that fills its segments leaves no sign of where it ends.
	full := 2*maxSegment - len(infotext(about(""), pixels()))
	prompts := map[string]string{
		"short": "a red circle", "Unicode": "猫 on a mat", "long": strings.Repeat("very ", 30000) + "long",
		"full segments": strings.Repeat("x", full), "like a description": `{"job":{},"made_with":{"device":"none"}}`,
		"one at a segment's beginning": strings.Repeat("x", maxSegment) + descriptionStart + "{}}",
	}
	for name, prompt := range prompts {
		for format, encode := range map[string]func(*Bitmap, About) ([]byte, error){"png": PNG, "jpg": JPEG} {
			data, err := encode(pixels(), about(prompt))
			if err != nil {
				t.Fatal(err)
			}
			width, height, madeWith := Inspect(data)
			if image.Pt(width, height) != image.Pt(4, 3) || madeWith == nil || *madeWith != about("").MadeWith {
				t.Errorf("a %s of a prompt that is %s: %dx%d, made with %+v", format, name, width, height, madeWith)
			}
			if !Whole(data, format) || Whole(data[:len(data)-1], format) || Whole(data[1:], format) {
				t.Errorf("a %s of a prompt that is %s is not told from a part of it", format, name)
			}
		}
	}
}

// TestInspectStrangers holds that what says nothing is no harm.
func TestInspectStrangers(t *testing.T) {
	jpeg, err := JPEG(pixels(), about("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "a latent": NPY([]float32{1}, 1, 1, 1), "a PNG's beginning": []byte(signature + "\xff\xff\xff\xfftEXtdarkroom"),
		"a JPEG's beginning": jpeg[:200], "a segment without a length": []byte("\xff\xd8\xff\xfe\x00\x01"),
	} {
		if width, height, madeWith := Inspect(data); width != 0 || height != 0 || madeWith != nil {
			t.Errorf("%s: %dx%d, made with %+v", name, width, height, madeWith)
		}
	}
}
