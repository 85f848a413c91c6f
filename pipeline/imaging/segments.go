package imaging

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Markers of JPEG segments.
const (
	markerStart   = 0xd8
	markerScan    = 0xda
	markerAPP1    = 0xe1
	markerComment = 0xfe
)

// maxSegment is what a segment holds: its length, two bytes, counts itself.
const maxSegment = 0xffff - 2

// insertSegments puts XMP and comments behind a JPEG's first marker. A text
// that is too long for a segment goes on in the next.
func insertSegments(picture []byte, xmp string, comments ...string) []byte {
	segments := appendSegment(nil, markerAPP1, append([]byte("http://ns.adobe.com/xap/1.0/\x00"), xmp...))
	for _, comment := range comments {
		for part := range slices.Chunk([]byte(comment), maxSegment) {
			segments = appendSegment(segments, markerComment, part)
		}
	}
	return slices.Insert(picture, 2, segments...)
}

// comments returns the comments' segments of a JPEG, in their order, up to its
// first scan.
func comments(picture []byte) (list [][]byte) {
	rest, ok := bytes.CutPrefix(picture, []byte{0xff, markerStart})
	for ok && len(rest) >= 4 && rest[0] == 0xff && rest[1] != markerScan {
		size, marker := int(binary.BigEndian.Uint16(rest[2:])), rest[1]
		if size < 2 || size > len(rest)-2 {
			break
		}
		if marker == markerComment {
			list = append(list, rest[4:2+size])
		}
		rest = rest[2+size:]
	}
	return list
}

func appendSegment(b []byte, marker byte, data []byte) []byte {
	b = append(b, 0xff, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)+2))
	return append(b, data...)
}
