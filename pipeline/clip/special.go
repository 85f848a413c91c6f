package clip

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

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
	s := &special{maxLength: usualMaxLength, roles: map[string]addedToken{
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
		if *n != float64(int(*n)) || *n < 3 || *n > 1<<20 {
			return nil, fmt.Errorf("%s: model_max_length is %v, want a whole number from 3: a token between a begin and an end", configFile, *n)
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
