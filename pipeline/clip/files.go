package clip

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// DefaultMaxLength is the length of CLIP's context, for folders that don't
// say theirs.
const DefaultMaxLength = 77

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

	t := &Tokenizer{maxLength: s.maxLength, bos: s.id("bos_token"), eos: s.id("eos_token"), pad: s.id("pad_token"), added: s.added}
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

// special is what a tokenizer's folder says of its special and added tokens.
type special struct {
	maxLength int
	roles     map[string]addedToken // bos_token, ...: the text, before it has an id
	others    []addedToken          // additional_special_tokens
	added     []addedToken          // with their ids
}

// roles are the special tokens' names, in the order in which those that are
// in no vocabulary get their ids.
var roles = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// token is a special token as a file has it: its text, or an object.
type token struct{ addedToken }

func (t *token) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &t.Content)
	}
	return json.Unmarshal(data, &t.addedToken)
}

func loadSpecial(fsys fs.FS) (*special, error) {
	s := &special{maxLength: DefaultMaxLength, roles: map[string]addedToken{
		"bos_token": {Content: "<|startoftext|>"}, "eos_token": {Content: "<|endoftext|>"},
		"unk_token": {Content: "<|endoftext|>"}, "pad_token": {Content: "<|endoftext|>"},
	}}
	const configFile = "tokenizer_config.json"
	var config struct {
		MaxLength *float64        `json:"model_max_length"`
		Added     map[int64]token `json:"added_tokens_decoder"`
	}
	if _, err := optional(fsys, configFile, &config); err != nil {
		return nil, err
	}
	// A tokenizer without a limit of its own is saved with one of 1e30.
	if n := config.MaxLength; n != nil && *n < 1e20 {
		if *n != float64(int(*n)) || *n < 2 || *n > 1<<20 {
			return nil, fmt.Errorf("%s: model_max_length is %v, want a whole number from 2", configFile, *n)
		}
		s.maxLength = int(*n)
	}
	if err := s.readRoles(fsys, configFile); err != nil {
		return nil, err
	}
	add := func(file string, a addedToken, id int64) error {
		if a.Content == "" || id < 0 || id >= maxID {
			return fmt.Errorf("%s: added token %q has the id %d, want a text and 0 to %d", file, a.Content, id, maxID-1)
		}
		a.id = id
		if i := slices.IndexFunc(s.added, func(b addedToken) bool { return b.Content == a.Content }); i >= 0 {
			s.added[i] = a
		} else {
			s.added = append(s.added, a)
		}
		return nil
	}
	for id, a := range config.Added {
		if err := add(configFile, a.addedToken, id); err != nil {
			return nil, err
		}
	}
	if config.Added != nil {
		return s, nil
	}

	if err := s.readRoles(fsys, "special_tokens_map.json"); err != nil {
		return nil, err
	}
	var byText map[string]int64
	if _, err := optional(fsys, "added_tokens.json", &byText); err != nil {
		return nil, err
	}
	for text, id := range byText {
		if err := add("added_tokens.json", addedToken{Content: text}, id); err != nil {
			return nil, err
		}
	}
	var fast struct {
		Added []struct {
			ID int64 `json:"id"`
			addedToken
		} `json:"added_tokens"`
	}
	if _, err := optional(fsys, "tokenizer.json", &fast); err != nil {
		return nil, err
	}
	for _, a := range fast.Added {
		if err := add("tokenizer.json", a.addedToken, a.ID); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readRoles reads the special tokens that a file names.
func (s *special) readRoles(fsys fs.FS, file string) error {
	var fields map[string]json.RawMessage
	if _, err := optional(fsys, file, &fields); err != nil {
		return err
	}
	for _, role := range roles {
		var t *token
		if raw, ok := fields[role]; ok {
			if err := json.Unmarshal(raw, &t); err != nil {
				return fmt.Errorf("%s: %s: %w", file, role, err)
			}
			if t != nil && t.Content != "" {
				s.roles[role] = t.addedToken
			}
		}
	}
	var others []token
	if raw, ok := fields["additional_special_tokens"]; ok {
		if err := json.Unmarshal(raw, &others); err != nil {
			return fmt.Errorf("%s: additional_special_tokens: %w", file, err)
		}
	}
	for _, t := range others {
		s.others = append(s.others, t.addedToken)
	}
	return nil
}

// fillIn makes every special token an added one. Those that are in no
// vocabulary get ids behind all others.
func (s *special) fillIn(vocabulary map[string]int64) {
	known := make(map[string]int64, len(s.added))
	next := int64(len(vocabulary))
	for _, a := range s.added {
		known[a.Content] = a.id
		if _, ok := vocabulary[a.Content]; !ok {
			next++
		}
	}
	all := slices.Clone(s.others)
	for i := len(roles) - 1; i >= 0; i-- {
		all = slices.Insert(all, 0, s.roles[roles[i]])
	}
	for _, a := range all {
		if _, ok := known[a.Content]; ok || a.Content == "" {
			continue
		}
		id, ok := vocabulary[a.Content]
		if !ok {
			id = next
			next++
		}
		a.id, known[a.Content] = id, id
		s.added = append(s.added, a)
	}
	slices.SortFunc(s.added, func(a, b addedToken) int {
		return cmp.Or(cmp.Compare(len(b.Content), len(a.Content)), strings.Compare(a.Content, b.Content))
	})
}

// id is the id of a role's token, once fillIn was called.
func (s *special) id(role string) int64 {
	i := slices.IndexFunc(s.added, func(a addedToken) bool { return a.Content == s.roles[role].Content })
	return s.added[i].id
}
