package batch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	_ "image/jpeg" // sizes of pictures in these formats
	_ "image/png"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
)

// inspect reads what a finished file says of itself: its size and what made
// it. What it doesn't say is left zero.
func inspect(data []byte) (width, height int, madeWith *job.MadeWith) {
	if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		width, height = config.Width, config.Height
	}
	description, ok := pngText(data, "darkroom")
	if !ok {
		description, ok = jpegComment(data, `{"job":`)
	}
	var said struct {
		MadeWith *job.MadeWith `json:"made_with"`
	}
	if !ok || json.Unmarshal(description, &said) != nil {
		return width, height, nil
	}
	return width, height, said.MadeWith
}

// whole tells whether a file has the beginning and the end of its format.
func whole(data []byte, ext string) bool {
	ends := map[string][2]string{
		"png": {pngSignature, "IEND\xaeB`\x82"},
		"jpg": {"\xff\xd8", "\xff\xd9"},
		"npy": {"\x93NUMPY", ""},
	}[ext]
	return bytes.HasPrefix(data, []byte(ends[0])) && bytes.HasSuffix(data, []byte(ends[1]))
}

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngText returns a PNG's text under a keyword.
func pngText(data []byte, keyword string) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(pngSignature))
	for ok && len(rest) >= 12 {
		size, kind := binary.BigEndian.Uint32(rest), string(rest[4:8])
		if uint64(size) > uint64(len(rest)-12) {
			break
		}
		body := rest[8 : 8+size]
		rest = rest[12+size:]
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

// jpegComment returns the first comment of a JPEG that begins with start.
func jpegComment(data []byte, start string) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(data, []byte{0xff, 0xd8})
	for ok && len(rest) >= 4 && rest[0] == 0xff {
		size := int(binary.BigEndian.Uint16(rest[2:]))
		if size < 2 || size > len(rest)-2 {
			break
		}
		body, marker := rest[4:2+size], rest[1]
		rest = rest[2+size:]
		if marker == 0xfe && strings.HasPrefix(string(body), start) {
			return body, true
		}
	}
	return nil, false
}
