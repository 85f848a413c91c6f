package batch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/darkroom/darkroom/pipeline/job"
)

// inspect reads what a finished file says of itself: its size and what made
// it. A file that doesn't say leaves both zero.
func inspect(data []byte) (width, height int, madeWith *job.MadeWith) {
	const signature = "\x89PNG\r\n\x1a\n"
	rest, ok := bytes.CutPrefix(data, []byte(signature))
	if !ok {
		return 0, 0, nil
	}
	for len(rest) >= 12 {
		size, kind := binary.BigEndian.Uint32(rest), string(rest[4:8])
		if uint64(size) > uint64(len(rest)-12) {
			break
		}
		body := rest[8 : 8+size]
		rest = rest[12+size:]
		switch {
		case kind == "IHDR" && size >= 8:
			width, height = int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:]))
		case kind == "tEXt" || kind == "iTXt":
			keyword, text, _ := bytes.Cut(body, []byte{0})
			if string(keyword) != "made_with" {
				continue
			}
			if kind == "iTXt" && len(text) >= 2 { // flag and method of compression, language, translated keyword
				_, text, _ = bytes.Cut(text[2:], []byte{0})
				_, text, _ = bytes.Cut(text, []byte{0})
			}
			var m job.MadeWith
			if json.Unmarshal(text, &m) == nil {
				madeWith = &m
			}
		}
	}
	return width, height, madeWith
}
