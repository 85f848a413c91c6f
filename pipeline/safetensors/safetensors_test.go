package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

func file(header string, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

func open(data []byte) (*File, error) { return Open(bytes.NewReader(data), int64(len(data))) }

func TestFloats(t *testing.T) {
	f, err := open(file(`{"__metadata__":{"format":"pt"},"half":{"dtype":"F16","shape":[2,2],"data_offsets":[4,12]},"one":{"dtype":"F32","shape":[],"data_offsets":[0,4]},`+
		`"brain":{"dtype":"BF16","shape":[1],"data_offsets":[12,14]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[14,14]}}   `,
		"\x00\x00\x80\x3f\x00\x3c\x00\xc0\x01\x00\xff\x7b\x80\xbf"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata["format"] != "pt" || len(f.Tensors) != 4 {
		t.Errorf("%v %v", f.Metadata, f.Tensors)
	}
	for name, want := range map[string][]float32{"one": {1}, "half": {1, -2, float32(math.Ldexp(1, -24)), 65504}, "brain": {-1}, "none": {}} {
		tensor, _ := f.Find(name)
		if got, err := f.Floats(tensor); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v: %v", name, got, want, err)
		}
	}
	if _, ok := f.Find("other"); ok {
		t.Error("there is no tensor of that name")
	}
}

func TestOpenFails(t *testing.T) {
	whole := file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":              {nil, "0 bytes"},
		"cut off in data":    {whole[:len(whole)-1], "cut off"},
		"cut off in header":  {whole[:20], "cut off"},
		"longer":             {append(slices.Clone(whole), 0), "end at byte 4, and the file has 5"},
		"a pickle":           {append([]byte("\x80\x02}q\x00(X\x0d\x00\x00"), make([]byte, 100)...), "no safetensors file"},
		"a header of 2^63":   {append([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}, whole...), "no safetensors file"},
		"no JSON":            {file("hello", ""), "no JSON object"},
		"two objects":        {file("{} {}", ""), "behind"},
		"one name twice":     {file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, ""), "twice"},
		"overlap":            {file(`{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}}`, "12345"), "begins at byte 2"},
		"a hole":             {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, "123"), "begins at byte 2"},
		"beyond the end":     {file(`{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}`, "1"), "cut off"},
		"another shape":      {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "1234"), "takes 8 bytes"},
		"a shape of 2^64":    {file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, ""), "no tensor has"},
		"a negative shape":   {file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "1234"), "no tensor has"},
		"negative offsets":   {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}`, ""), "data_offsets are -1 and 0"},
		"one offset":         {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}`, "1"), "no data_offsets"},
		"an unknown type":    {file(`{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}`, "1"), `unknown type "F4"`},
		"metadata of a list": {file(`{"__metadata__":[]}`, ""), "__metadata__"},
	} {
		if _, err := open(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	f, err := open(file(`{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "1234\x00\x00\xc0\x7f"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range f.Tensors {
		if floats, err := f.Floats(tensor); err == nil {
			t.Errorf("tensor %s became %v", tensor.Name, floats)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]},"__metadata__":{"a":"b"}}`, "1234"))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}`, "1234"))
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := open(data)
		if err != nil {
			return
		}
		for _, tensor := range opened.Tensors {
			floats, err := opened.Floats(tensor)
			if err == nil && int64(len(floats)) != tensor.Size() {
				t.Errorf("%v has %d numbers", tensor, len(floats))
			}
		}
	})
}
