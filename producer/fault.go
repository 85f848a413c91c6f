package producer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
)

// BadBatch is the error of a batch file with lines that are not well formed.
type BadBatch struct {
	Source string
	Lines  []BadLine // the first 100, in order
	More   int       // bad lines beyond them
}

// BadLine is a line that is not well formed.
type BadLine struct {
	Number int // 1-based
	Faults job.Faults
}

const namedAtMost = 100

func (b *BadBatch) Error() string {
	if len(b.Lines) == 0 {
		return b.Source + ": there is no line in it, want one JSON object a line"
	}
	var s strings.Builder
	for i, line := range b.Lines {
		for j, fault := range line.Faults {
			if i+j > 0 {
				s.WriteByte('\n')
			}
			fmt.Fprintf(&s, "%s:%d: %v", b.Source, line.Number, fault)
		}
	}
	if b.More > 0 {
		fmt.Fprintf(&s, "\nand %d more bad lines", b.More)
	}
	return s.String()
}

// add notes bad lines; those of a lower number may come later.
func (b *BadBatch) add(lines ...BadLine) {
	b.Lines = append(b.Lines, lines...)
	slices.SortStableFunc(b.Lines, func(x, y BadLine) int { return x.Number - y.Number })
	if extra := len(b.Lines) - namedAtMost; extra > 0 {
		b.Lines = b.Lines[:namedAtMost:namedAtMost]
		b.More += extra
	}
}
