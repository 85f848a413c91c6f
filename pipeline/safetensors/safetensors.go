// Package safetensors reads files of named tensors in the safetensors format: a
// header's length in 8 bytes, the header as JSON, and the tensors' numbers. It
// trusts nothing that a header says: a file is refused unless its tensors fill
// it exactly, without holes and without overlap.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/half"
)

// maxHeader is the longest header, bytes: that of the format's own readers.
const maxHeader = 100_000_000

// Tensor is what the header says of a tensor.
type Tensor struct {
	Name  string
	Type  string // F32, F16, BF16, ...
	Shape []int64

	from, to int64 // bytes, in the file
}

// Size is how many numbers the tensor holds.
func (t Tensor) Size() int64 {
	size := int64(1)
	for _, n := range t.Shape {
		size *= n
	}
	return size
}

// File is an open file.
type File struct {
	Tensors  []Tensor // by name
	Metadata map[string]string

	data io.ReaderAt
}

// widths are the bytes of a number, by type.
var widths = map[string]int64{
	"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4,
	"F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

// Open reads the header of a file of so many bytes, and checks all it says.
func Open(data io.ReaderAt, size int64) (*File, error) {
	var prefix [8]byte
	if size < 8 {
		return nil, fmt.Errorf("a file of %d bytes is no safetensors file", size)
	}
	if err := readAt(data, prefix[:], 0); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("its header is said to have %d bytes, and the file has %d: it is cut off, or no safetensors file", length, size)
	}
	header := make([]byte, length)
	if err := readAt(data, header, 8); err != nil {
		return nil, err
	}
	f := &File{data: data}
	if err := f.parse(header); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if err := f.place(8+int64(length), size); err != nil {
		return nil, err
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

func readAt(data io.ReaderAt, b []byte, at int64) error {
	if n, err := data.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("reading it: %w", err)
	}
	return nil
}

// parse reads the header's members one by one: a name that stands there twice
// is an error.
func (f *File) parse(header []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(header))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		name := key.(string)
		if seen[name] {
			return fmt.Errorf("%q stands there twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := decoder.Decode(&f.Metadata); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		var entry struct {
			Type    string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets *[]int64 `json:"data_offsets"`
		}
		if err := decoder.Decode(&entry); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		if entry.Offsets == nil || len(*entry.Offsets) != 2 {
			return fmt.Errorf("tensor %q has no data_offsets of a beginning and an end", name)
		}
		t := Tensor{name, entry.Type, entry.Shape, (*entry.Offsets)[0], (*entry.Offsets)[1]}
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.Tensors = append(f.Tensors, t)
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	if rest, err := io.ReadAll(decoder.Buffered()); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("something stands behind its JSON object")
	}
	return nil
}

// check holds a tensor's shape and type against its bytes.
func (t Tensor) check() error {
	width, ok := widths[t.Type]
	if !ok {
		return fmt.Errorf("unknown type %q", t.Type)
	}
	bytes := width
	for _, n := range t.Shape {
		if n < 0 || n > 0 && bytes > math.MaxInt64/n {
			return fmt.Errorf("no tensor has the shape %v", t.Shape)
		}
		bytes *= n
	}
	if t.from < 0 || t.to < t.from || t.to-t.from != bytes {
		return fmt.Errorf("%s of the shape %v takes %d bytes, and its data_offsets are %d and %d", t.Type, t.Shape, bytes, t.from, t.to)
	}
	return nil
}

// place checks that the tensors fill what lies behind the header, and turns
// their offsets into places in the file.
func (f *File) place(begin, size int64) error {
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	end := int64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.from != end {
			return fmt.Errorf("tensor %q begins at byte %d, and the one before it ends at %d", t.Name, t.from, end)
		}
		if end = t.to; end > size-begin {
			return fmt.Errorf("tensor %q ends at byte %d, and the file has %d: it is cut off", t.Name, end, size-begin)
		}
		t.from, t.to = t.from+begin, t.to+begin
	}
	if end != size-begin {
		return fmt.Errorf("its tensors end at byte %d, and the file has %d", end, size-begin)
	}
	return nil
}

// Find returns the tensor of a name.
func (f *File) Find(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(f.Tensors, name, func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Floats reads a tensor of F32, F16 or BF16, row-major.
func (f *File) Floats(t Tensor) ([]float32, error) {
	if t.Type != "F32" && t.Type != "F16" && t.Type != "BF16" {
		return nil, fmt.Errorf("tensor %q is of the type %s, want F32, F16 or BF16", t.Name, t.Type)
	}
	raw := make([]byte, t.to-t.from)
	if err := readAt(f.data, raw, t.from); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	floats := make([]float32, t.Size())
	for i := range floats {
		switch t.Type {
		case "F32":
			floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		case "F16":
			floats[i] = half.Float(binary.LittleEndian.Uint16(raw[2*i:]))
		case "BF16":
			floats[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
		if v := floats[i]; v-v != 0 {
			return nil, fmt.Errorf("tensor %q holds values that are not numbers", t.Name)
		}
	}
	return floats, nil
}
