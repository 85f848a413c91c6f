package onnx

import (
	"errors"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// Declared returns the inputs that an ONNX file of a size declares, its weights
// among them where it was made before IR version 4. It reads little of the file:
// what else is in it is passed over.
func Declared(file io.ReaderAt, size int64) ([]Port, error) {
	s := skimmer{file: file}
	var inputs []value
	err := s.fields(0, size, func(number protowire.Number, from, to int64) error {
		if number != modelGraph {
			return nil
		}
		return s.fields(from, to, func(number protowire.Number, from, to int64) error {
			if number != graphInput {
				return nil
			}
			m := Model{data: make([]byte, to-from)}
			if _, err := file.ReadAt(m.data, from); err != nil {
				return err
			}
			v, err := m.parseValue(span{0, len(m.data)})
			inputs = append(inputs, v)
			return err
		})
	})
	return ports(inputs), err
}

// skimmer reads the heads of fields.
type skimmer struct {
	file io.ReaderAt
	head [2 * 10]byte // a tag and a length, or a number
}

// fields calls f for every length-delimited field of the message from one offset
// to another.
func (s *skimmer) fields(from, to int64, f func(number protowire.Number, from, to int64) error) error {
	for from < to {
		head := s.head[:min(int64(len(s.head)), to-from)]
		if _, err := s.file.ReadAt(head, from); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		number, kind, n := protowire.ConsumeTag(head)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if kind != protowire.BytesType {
			more := protowire.ConsumeFieldValue(number, kind, head[n:])
			if more < 0 {
				return protowire.ParseError(more)
			}
			from += int64(n + more)
			continue
		}
		length, more := protowire.ConsumeVarint(head[n:])
		if more < 0 {
			return protowire.ParseError(more)
		}
		from += int64(n + more)
		if length > uint64(to-from) {
			return io.ErrUnexpectedEOF
		}
		end := from + int64(length)
		if err := f(number, from, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}
