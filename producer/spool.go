package producer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"os"
	"slices"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
)

// spool is a manifest in a temporary file, with the number that each line had
// in the batch file.
type spool struct {
	text    *os.File // the manifest's lines
	size    int64    // of the text
	starts  []int64  // of the shards, in the text
	shard   []byte   // the one that was read back last
	lines   int
	sum     hash.Hash
	numbers *os.File // of the lines in the batch file: a varint each, the difference to the one before

	numbersBuf *bufio.Writer
	last       int // number

	seed maphash.Seed
	ids  [256][][]uint64 // hashes of ids, by their first byte, in blocks: 8 bytes an id, and never moved
}

// idBlock is how many hashes a block holds.
const idBlock = 128

func newSpool(in string) (*spool, error) {
	text, err := nameless(in)
	if err != nil {
		return nil, err
	}
	numbers, err := nameless(in)
	if err != nil {
		text.Close()
		return nil, err
	}
	return &spool{text: text, numbers: numbers, numbersBuf: bufio.NewWriter(numbers), sum: sha256.New(), seed: maphash.MakeSeed()}, nil
}

// nameless creates a temporary file whose name is taken away at once, so that
// not even a kill leaves it behind.
func nameless(in string) (*os.File, error) {
	file, err := os.CreateTemp(in, "darkroom-manifest-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// readShard reads a shard's lines back; what it returns is good until the next
// call.
func (s *spool) readShard(shard int) ([]byte, error) {
	end := s.size
	if shard+1 < len(s.starts) {
		end = s.starts[shard+1]
	}
	s.shard = slices.Grow(s.shard[:0], int(end-s.starts[shard]))[:end-s.starts[shard]]
	data := s.shard
	if _, err := s.text.ReadAt(data, s.starts[shard]); err != nil {
		return nil, fmt.Errorf("reading the manifest back: %w", err)
	}
	return data, nil
}

func (s *spool) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// write appends lines to the manifest.
func (s *spool) write(r result) error {
	s.sum.Write(r.text)
	if _, err := s.text.Write(r.text); err != nil {
		return err
	}
	start := s.size
	s.size += int64(len(r.text))
	for _, e := range r.entries {
		if s.lines%batch.ShardLines == 0 {
			s.starts = append(s.starts, start)
		}
		s.lines++
		start = s.size - int64(len(r.text)-e.end)
		var varint [binary.MaxVarintLen64]byte
		if _, err := s.numbersBuf.Write(varint[:binary.PutUvarint(varint[:], uint64(e.number-s.last))]); err != nil {
			return err
		}
		s.last = e.number
		if e.id != "" {
			h := maphash.String(s.seed, e.id)
			s.keep(h)
		}
	}
	return nil
}

// keep keeps an id's hash.
func (s *spool) keep(h uint64) {
	blocks := &s.ids[h>>56]
	if n := len(*blocks); n == 0 || len((*blocks)[n-1]) == idBlock {
		*blocks = append(*blocks, make([]uint64, 0, idBlock))
	}
	last := &(*blocks)[len(*blocks)-1]
	*last = append(*last, h)
}

// finish ends the writing.
func (s *spool) finish() error { return s.numbersBuf.Flush() }

func (s *spool) close() error { return errors.Join(s.text.Close(), s.numbers.Close()) }

// duplicates finds the lines whose id an earlier line has. It names the first
// of them, and says how many more there are. Hashes of ids only tell where to
// look: the ids themselves are compared.
func (s *spool) duplicates(ctx context.Context) (bad []BadLine, more int, err error) {
	suspects, beyond := s.suspects()
	clear(s.ids[:]) // all that grows with the batch
	if len(suspects) == 0 {
		return nil, 0, nil
	}
	if _, err := s.numbers.Seek(0, 0); err != nil {
		return nil, 0, err
	}
	numbers := bufio.NewReader(s.numbers)
	seen := make(map[string]int) // id: its first line
	number := 0
	for shard := range s.starts {
		data, err := s.readShard(shard)
		if err != nil {
			return nil, 0, err
		}
		for line := range bytes.Lines(data) {
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			step, err := binary.ReadUvarint(numbers)
			if err != nil {
				return nil, 0, fmt.Errorf("reading the manifest back: %w", err)
			}
			number += int(step)
			spec, faults := job.Decode(bytes.TrimSuffix(line, []byte{'\n'}))
			if faults != nil {
				return nil, 0, fmt.Errorf("reading the manifest back: %w", faults)
			}
			if spec.ID == "" || !suspects[maphash.String(s.seed, spec.ID)] {
				continue
			}
			first, twice := seen[spec.ID]
			switch {
			case !twice:
				seen[spec.ID] = number
			case len(bad) == namedAtMost:
				more++
			default:
				bad = append(bad, BadLine{number, job.Faults{{
					Field: "id", What: fmt.Sprintf("line %d has it already:", first), Value: spec.ID, Want: "want each id once",
				}}})
			}
		}
	}
	return bad, more + beyond, nil
}

// suspects returns the hashes that come more than once. Of very many it
// returns some, and says how many lines the others stand for.
func (s *spool) suspects() (suspects map[uint64]bool, beyond int) {
	const most = 1000
	suspects = make(map[uint64]bool)
	var hashes []uint64
	for _, blocks := range s.ids {
		hashes = hashes[:0]
		for _, block := range blocks {
			hashes = append(hashes, block...)
		}
		slices.Sort(hashes)
		for i := 1; i < len(hashes); i++ {
			switch h := hashes[i]; {
			case h != hashes[i-1]:
			case len(suspects) < most || suspects[h]:
				suspects[h] = true
			default:
				beyond++
			}
		}
	}
	return suspects, beyond
}
