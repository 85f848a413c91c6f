package imaging

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// npyAlign is what the header's length, with all before the numbers, is a
// multiple of.
const npyAlign = 64

// NPY writes float32 numbers in NumPy's format, version 1.0: row-major, little
// endian. The shape's product must be their count.
func NPY(numbers []float32, shape ...int) []byte {
	dims := make([]string, len(shape))
	for i, n := range shape {
		dims[i] = fmt.Sprint(n)
	}
	tuple := strings.Join(dims, ", ")
	if len(dims) == 1 {
		tuple += ","
	}
	head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", tuple)
	const before = len("\x93NUMPY\x01\x00") + 2
	padding := npyAlign - (before+len(head)+1)%npyAlign
	head += strings.Repeat(" ", padding%npyAlign) + "\n"

	b := make([]byte, 0, before+len(head)+4*len(numbers))
	b = append(b, "\x93NUMPY\x01\x00"...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(head)))
	b = append(b, head...)
	for _, v := range numbers {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
