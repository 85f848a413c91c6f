package producer

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/darkroom/darkroom/pipeline/job"
)

// chunk is some consecutive lines of a batch file.
type chunk struct {
	text  []byte
	lines []textLine

	first chan int    // the index of its first job, from the chunk before
	after chan int    // that of the chunk behind it
	out   chan result // its results, in order; closed behind the last one
}

// textLine is a line's place in its chunk's text.
type textLine struct {
	number     int // 1-based
	start, end int
	length     int // in the file; beyond [job.MaxLine] only its beginning is in the text
}

const (
	chunkLines = 256
	chunkBytes = 256 << 10
)

// chunks cuts what it reads into chunks; emit tells whether to go on.
func chunks(in io.Reader, emit func(*chunk) bool) error {
	r := bufio.NewReaderSize(in, 64<<10)
	if bom, _ := r.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = r.Discard(3)
	}
	c := new(chunk)
	for number := 1; ; number++ {
		line := textLine{number: number, start: len(c.text)}
		var err error
		for more := true; more; {
			var part []byte
			part, err = r.ReadSlice('\n')
			more = errors.Is(err, bufio.ErrBufferFull)
			line.length += len(part)
			if room := job.MaxLine + 2 - (len(c.text) - line.start); room > 0 { // with its CRLF
				c.text = append(c.text, part[:min(room, len(part))]...)
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(c.text[line.start:], []byte{'\n'}), []byte{'\r'})
		line.end = line.start + len(text)
		if len(bytes.TrimSpace(text)) > 0 {
			c.lines = append(c.lines, line)
		} else {
			c.text = c.text[:line.start]
		}
		if len(c.lines) > 0 && (err == io.EOF || len(c.lines) == chunkLines || len(c.text) >= chunkBytes) {
			if !emit(c) {
				return nil
			}
			c = new(chunk)
		}
		if err == io.EOF {
			return nil
		}
	}
}
