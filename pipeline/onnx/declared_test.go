package onnx

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// few counts what is read.
type few struct {
	*bytes.Reader
	read int
}

func (f *few) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.Reader.ReadAt(b, off)
	f.read += n
	return n, err
}

// TestDeclared holds what is skimmed against what is parsed.
func TestDeclared(t *testing.T) {
	for _, path := range []string{"sd/unet/model.onnx", "variants/fused/unet/model.onnx", "variants/xl/text_encoder_2/model.onnx"} {
		data := read(t, path)
		file := &few{Reader: bytes.NewReader(data)}
		ports, err := Declared(file, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if want := parse(t, data).Inputs(); !slices.EqualFunc(ports, want, equal) {
			t.Errorf("%s: %v, want %v", path, ports, want)
		}
		if file.read > len(data)/4 {
			t.Errorf("%s: %d of %d bytes were read", path, file.read, len(data))
		}
		for _, n := range []int{1, len(data) / 2, len(data) - 1} {
			if _, err := Declared(bytes.NewReader(data[:n]), int64(n)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, cut off after %d bytes: %v", path, n, err)
			}
		}
	}
}

func FuzzDeclared(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x3a, 3, 0x5a, 1, 9})
	f.Add([]byte{0x3a, 9, 0x5a, 7, 0x12, 5, 0x0a, 3, 0x09, 1, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		Declared(bytes.NewReader(data), int64(len(data)))
	})
}
