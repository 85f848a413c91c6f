// Package clip turns prompts into token ids as the byte-pair tokenizer of CLIP
// does (Radford et al. 2021, arXiv:2103.00020; byte-pair encoding: Sennrich et
// al. 2016, arXiv:1508.07909).
//
// The ids equal those of transformers' slow CLIPTokenizer where ftfy is not
// installed, quirks included: its way of cleaning text is not that of the fast
// one. Characters are classed by the Unicode edition of the Go release, 15.0
// as in Python 3.12; an older Python drops the few that are newer than itself.
package clip

import (
	"math"
	"strings"
)

// Tokenizer is a tokenizer's vocabulary. It may be used concurrently.
type Tokenizer struct {
	maxLength     int
	bos, eos, pad int64
	vocabulary    int64            // the largest id, and one
	texts         map[string]int64 // of vocab.json

	merges merges
	ids    []int64          // by symbol
	whole  map[string]int64 // words that merges have no part in
	added  []addedToken     // what is a token wherever it stands in a text, the longest first
}

// MaxLength is the number of ids that Encode returns.
func (t *Tokenizer) MaxLength() int { return t.maxLength }

// VocabularySize is one more than the largest id.
func (t *Tokenizer) VocabularySize() int64 { return t.vocabulary }

// Encode returns the ids of a text: start, the text's tokens, end, and padding
// up to MaxLength. A text that is too long loses its last tokens, and
// truncated is true.
func (t *Tokenizer) Encode(text string) (ids []int64, truncated bool) {
	room := t.maxLength - 2
	ids = append(make([]int64, 0, t.maxLength), t.bos)
	ids = t.appendTokens(ids, text, 1+room+1)
	if truncated = len(ids) > 1+room; truncated {
		ids = ids[:1+room]
	}
	return t.finish(ids), truncated
}

// Frame returns tokens, of which there must be at most MaxLength - 2, as Encode
// returns a text's: with start, end and padding.
func (t *Tokenizer) Frame(tokens []int64) []int64 {
	ids := append(make([]int64, 0, t.maxLength), t.bos)
	return t.finish(append(ids, tokens...))
}

func (t *Tokenizer) finish(ids []int64) []int64 {
	ids = append(ids, t.eos)
	for len(ids) < t.maxLength {
		ids = append(ids, t.pad)
	}
	return ids
}

// Tokens returns the ids of all of a text's tokens, and no others.
func (t *Tokenizer) Tokens(text string) []int64 {
	return t.appendTokens(nil, text, math.MaxInt)
}

// appendTokens appends the ids of text's tokens. It may stop once ids has
// enough elements.
func (t *Tokenizer) appendTokens(ids []int64, text string, enough int) []int64 {
	for _, part := range t.split(strings.ToValidUTF8(text, "\ufffd")) {
		if a := t.find(part); a != nil {
			ids = append(append(ids, a.id), a.more...)
			continue
		}
		word, rest := cutWord(clean(part))
		for word != "" && len(ids) < enough {
			ids = t.appendWord(ids, word)
			word, rest = cutWord(rest)
		}
	}
	return ids
}

func (t *Tokenizer) appendWord(ids []int64, word string) []int64 {
	if id, ok := t.whole[word]; ok {
		return append(ids, id)
	}
	for _, symbol := range t.merges.apply(word) {
		ids = append(ids, t.ids[symbol])
	}
	return ids
}
