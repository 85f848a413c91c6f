package imaging

import (
	"encoding/binary"
	"slices"
)

// Markers of JPEG segments.
const (
	markerAPP1    = 0xe1
	markerComment = 0xfe
)

// maxSegment is what a segment holds: its length, two bytes, counts itself.
const maxSegment = 0xffff - 2

// insertSegments puts XMP and comments behind a JPEG's first marker. A text
// that is too long for a segment goes on in the next.
func insertSegments(picture []byte, comments ...string) []byte {
	segments := appendSegment(nil, markerAPP1, append([]byte("http://ns.adobe.com/xap/1.0/\x00"), xmp()...))
	for _, comment := range comments {
		for part := range slices.Chunk([]byte(comment), maxSegment) {
			segments = appendSegment(segments, markerComment, part)
		}
	}
	return slices.Insert(picture, 2, segments...)
}

func appendSegment(b []byte, marker byte, data []byte) []byte {
	b = append(b, 0xff, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)+2))
	return append(b, data...)
}
