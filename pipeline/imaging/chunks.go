package imaging

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// text is a keyword and its text in a PNG.
type text struct {
	key, value string
	unicode    bool // always in UTF-8
}

// header is how long a PNG's signature and its first chunk, IHDR, are.
const header = 8 + 12 + 13

// insertChunks puts texts behind a PNG's header: tEXt for what Latin-1 can
// write, iTXt in UTF-8 for all else (PNG specification, 11.3.3).
func insertChunks(picture []byte, texts []text) []byte {
	var chunks []byte
	for _, t := range texts {
		if latin, ok := latin1(t.value); ok && !t.unicode {
			chunks = appendChunk(chunks, "tEXt", slices.Concat([]byte(t.key), []byte{0}, latin))
		} else {
			// Not compressed, no language, no translated keyword.
			chunks = appendChunk(chunks, "iTXt", slices.Concat([]byte(t.key), []byte{0, 0, 0, 0, 0}, []byte(t.value)))
		}
	}
	return slices.Insert(picture, header, chunks...)
}

func appendChunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	from := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
}

// latin1 encodes a text of Latin-1's printable characters and newlines; PNG
// discourages all other controls.
func latin1(s string) ([]byte, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		printable := r == '\n' || r >= 0x20 && r <= 0x7e || r >= 0xa0 && r <= 0xff
		if !printable {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}
