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
	"path/filepath"
	"slices"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
)

// spool is a manifest in a temporary folder, in the shards it will have in the
// store, with the number that each line had in the batch file.
type spool struct {
	dir   string
	lines int
	sum   hash.Hash

	shard      *os.File
	numbers    *os.File // of the lines in the batch file: a varint each, the difference to the one before
	numbersBuf *bufio.Writer
	last       int // number

	seed maphash.Seed
	ids  [256][]uint64 // hashes of ids, by their first byte: 8 bytes an id
}

func newSpool(in string) (*spool, error) {
	dir, err := os.MkdirTemp(in, "darkroom-manifest-")
	if err != nil {
		return nil, err
	}
	s := &spool{dir: dir, sum: sha256.New(), seed: maphash.MakeSeed()}
	s.numbers, err = os.Create(filepath.Join(dir, "numbers"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.numbersBuf = bufio.NewWriter(s.numbers)
	return s, nil
}

func (s *spool) shardPath(shard int) string {
	return filepath.Join(s.dir, fmt.Sprintf("%05d.jsonl", shard))
}

func (s *spool) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// write appends lines to the manifest.
func (s *spool) write(r result) error {
	s.sum.Write(r.text)
	start := 0
	for i, e := range r.entries {
		if s.lines%batch.ShardLines == 0 {
			if err := s.nextShard(); err != nil {
				return err
			}
		}
		s.lines++
		if last := i == len(r.entries)-1; last || s.lines%batch.ShardLines == 0 {
			if _, err := s.shard.Write(r.text[start:e.end]); err != nil {
				return err
			}
			start = e.end
		}
		var varint [binary.MaxVarintLen64]byte
		if _, err := s.numbersBuf.Write(varint[:binary.PutUvarint(varint[:], uint64(e.number-s.last))]); err != nil {
			return err
		}
		s.last = e.number
		if e.id != "" {
			h := maphash.String(s.seed, e.id)
			s.ids[h>>56] = append(s.ids[h>>56], h)
		}
	}
	return nil
}

func (s *spool) nextShard() (err error) {
	if s.shard != nil {
		err = s.shard.Close()
	}
	if err == nil {
		s.shard, err = os.Create(s.shardPath(s.lines / batch.ShardLines))
	}
	return err
}

// finish ends the writing.
func (s *spool) finish() error {
	err := s.numbersBuf.Flush()
	if s.shard != nil && err == nil {
		err = s.shard.Close()
		s.shard = nil
	}
	return err
}

func (s *spool) close() error {
	if s.shard != nil {
		s.shard.Close()
	}
	s.numbers.Close()
	return os.RemoveAll(s.dir)
}

// duplicates finds the lines whose id an earlier line has. It names the first
// of them, and says how many more there are. Hashes of ids only tell where to
// look: the ids themselves are compared.
func (s *spool) duplicates(ctx context.Context) (bad []BadLine, more int, err error) {
	suspects, beyond := s.suspects()
	if len(suspects) == 0 {
		return nil, 0, nil
	}
	if _, err := s.numbers.Seek(0, 0); err != nil {
		return nil, 0, err
	}
	numbers := bufio.NewReader(s.numbers)
	seen := make(map[string]int) // id: its first line
	number := 0
	for shard := range (s.lines + batch.ShardLines - 1) / batch.ShardLines {
		data, err := os.ReadFile(s.shardPath(shard))
		if err != nil {
			return nil, 0, fmt.Errorf("reading the manifest back: %w", err)
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
	for _, hashes := range s.ids {
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
