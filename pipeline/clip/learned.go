package clip

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Word is a word that was learned after the vocabulary was made: it is some
// tokens of its own wherever it stands in a text.
type Word struct {
	Text string
	IDs  []int64 // at least one
}

// knows tells whether a word is in the vocabulary already, by itself or as a part
// of others, or an added token.
func (t *Tokenizer) knows(word string) bool {
	if t.find(word) != nil {
		return true
	}
	for _, text := range []string{word, strings.ToLower(word)} {
		_, inside := t.texts[text]
		_, alone := t.texts[text+endOfWord]
		if inside || alone {
			return true
		}
	}
	return false
}

// With returns the tokenizer with words that it doesn't know yet. As all added
// tokens they are told by their very letters, in upper or lower case.
func (t *Tokenizer) With(words []Word) (*Tokenizer, error) {
	more := *t
	more.added = slices.Clone(t.added)
	for _, word := range words {
		if word.Text == "" || len(word.IDs) == 0 {
			return nil, errors.New("a word without a text or without an id")
		}
		if more.knows(word.Text) {
			return nil, fmt.Errorf("%s is a word that the model knows already: rename it", word.Text)
		}
		more.added = append(more.added, addedToken{Content: word.Text, id: word.IDs[0], more: word.IDs[1:]})
		for _, id := range word.IDs {
			more.vocabulary = max(more.vocabulary, id+1)
		}
	}
	slices.SortStableFunc(more.added, func(a, b addedToken) int { return cmp.Compare(len(b.Content), len(a.Content)) })
	return &more, nil
}
