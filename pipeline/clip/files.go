package clip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// usualMaxLength is the length of CLIP's context, for folders that don't
// say theirs.
const usualMaxLength = 77

// Load reads a tokenizer's folder: vocab.json, merges.txt and, where they are
// there, tokenizer_config.json, special_tokens_map.json, added_tokens.json and
// tokenizer.json, of which the last three count only where the first has no
// added_tokens_decoder. An error names its file.
func Load(fsys fs.FS) (*Tokenizer, error) {
	var vocabulary map[string]int64
	if err := readJSON(fsys, "vocab.json", &vocabulary); err != nil {
		return nil, err
	}
	if len(vocabulary) == 0 {
		return nil, errors.New("vocab.json: it has no tokens")
	}
	for token, id := range vocabulary {
		if id < 0 || id >= maxID {
			return nil, fmt.Errorf("vocab.json: token %q has the id %d, want 0 to %d", token, id, maxID-1)
		}
	}
	s, err := loadSpecial(fsys)
	if err != nil {
		return nil, err
	}
	s.fillIn(vocabulary)

	t := &Tokenizer{maxLength: s.maxLength, bos: s.id("bos_token"), eos: s.id("eos_token"), pad: s.id("pad_token"), texts: vocabulary, added: s.added}
	id := func(token string) int64 {
		if a := t.find(token); a != nil {
			return a.id
		}
		if id, ok := vocabulary[token]; ok {
			return id
		}
		return s.id("unk_token")
	}
	symbols := newSymbols()
	if t.merges, err = loadMerges(fsys, symbols); err != nil {
		return nil, err
	}
	t.ids = make([]int64, len(symbols.texts))
	for symbol, text := range symbols.texts {
		t.ids[symbol] = id(text)
	}
	t.whole = map[string]int64{fixed[0]: id(fixed[0]), fixed[1]: id(fixed[1])}
	for _, id := range vocabulary {
		t.vocabulary = max(t.vocabulary, id+1)
	}
	for _, a := range t.added {
		t.vocabulary = max(t.vocabulary, a.id+1)
	}
	return t, nil
}

// maxID bounds the ids, which are rows of an embedding.
const maxID = 1 << 31

// optional reads a JSON file that need not be there.
func optional(fsys fs.FS, name string, v any) (there bool, err error) {
	err = readJSON(fsys, name, v)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func readJSON(fsys fs.FS, name string, v any) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// cause takes the path off an error, which its reader says.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// symbols gives the strings of a vocabulary their symbols.
type symbols struct {
	texts []string
	index map[string]symbol
}

// endOfWord marks a word's last symbol.
const endOfWord = "</w>"

func newSymbols() *symbols {
	s := &symbols{index: make(map[string]symbol)}
	for _, end := range []string{"", endOfWord} {
		for b := range 256 {
			s.symbol(byteText(byte(b)) + end)
		}
	}
	return s
}

func (s *symbols) symbol(text string) symbol {
	n, ok := s.index[text]
	if !ok {
		n = symbol(len(s.texts))
		s.index[text] = n
		s.texts = append(s.texts, text)
	}
	return n
}

// byteText is how a byte is written in a vocabulary: the printable characters
// of Latin-1 stand for themselves, the others are, in their order, the
// characters from U+0100 on.
func byteText(b byte) string {
	printable := func(b byte) bool { return '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || b >= 0xAE }
	if printable(b) {
		return string(rune(b))
	}
	r := rune(256)
	for c := range b {
		if !printable(c) {
			r++
		}
	}
	return string(r)
}

// maxMerges is how many merges CLIP's tokenizer reads: its vocabulary without
// bytes, ends of words and special tokens. Lines beyond are ignored.
const maxMerges = 49152 - 256 - 2

func loadMerges(fsys fs.FS, symbols *symbols) (merges, error) {
	const name = "merges.txt"
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	m := make(merges)
	n := 0 // from 1; the first line is a title
	for line := range bytes.Lines(bytes.TrimSpace(data)) {
		if n++; n == 1 || n > maxMerges+1 {
			continue
		}
		pair := strings.Fields(string(line))
		switch len(pair) {
		case 0:
		case 2:
			key := [2]symbol{symbols.symbol(pair[0]), symbols.symbol(pair[1])}
			m[key] = merge{int32(n), symbols.symbol(pair[0] + pair[1])}
		default:
			return nil, fmt.Errorf("%s: line %d has %d parts, want two symbols to merge", name, n, len(pair))
		}
	}
	return m, nil
}
