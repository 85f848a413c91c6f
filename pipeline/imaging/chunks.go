package imaging

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"slices"
)

// text is a keyword and its text in a PNG.
type text struct {
	key, value string
	unicode    bool // always in UTF-8
}

// signature is how a PNG begins.
const signature = "\x89PNG\r\n\x1a\n"

// header is how long a PNG's signature and its first chunk, IHDR, are.
const header = len(signature) + 12 + 13

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

// allChunks yields the kinds and the contents of a PNG's chunks, of one that is cut off
// those that are whole.
func allChunks(picture []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		rest, ok := bytes.CutPrefix(picture, []byte(signature))
		for ok && len(rest) >= 12 {
			size := binary.BigEndian.Uint32(rest)
			if uint64(size) > uint64(len(rest)-12) || !yield(string(rest[4:8]), rest[8:8+size]) {
				break
			}
			rest = rest[12+size:]
		}
	}
}

// findText returns a PNG's text under a keyword, as it is encoded.
func findText(picture []byte, keyword string) ([]byte, bool) {
	for kind, body := range allChunks(picture) {
		key, text, _ := bytes.Cut(body, []byte{0})
		switch {
		case string(key) != keyword:
		case kind == "tEXt":
			return text, true
		case kind == "iTXt" && len(text) >= 2: // flag and method of compression, then language and translated keyword
			_, text, _ = bytes.Cut(text[2:], []byte{0})
			_, text, _ = bytes.Cut(text, []byte{0})
			return text, true
		}
	}
	return nil, false
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
