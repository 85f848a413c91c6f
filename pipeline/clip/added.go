package clip

import (
	"slices"
	"strings"
	"unicode"
)

// addedToken is text that is one token wherever it stands: the special tokens
// and those that were added to a vocabulary later.
type addedToken struct {
	Content    string `json:"content"`
	StripLeft  bool   `json:"lstrip"`      // takes the blanks before it away
	StripRight bool   `json:"rstrip"`      // and those behind it
	SingleWord bool   `json:"single_word"` // is a token only where blanks or ends are beside it

	id   int64
	more []int64 // the ids of the tokens behind the first, of a word that is several
}

// find returns the added token that text is, or nil.
func (t *Tokenizer) find(text string) *addedToken {
	i := slices.IndexFunc(t.added, func(a addedToken) bool { return a.Content == text })
	if i < 0 {
		return nil
	}
	return &t.added[i]
}

// split cuts a text into added tokens and what lies between them.
func (t *Tokenizer) split(text string) []string {
	parts := t.cut(text)
	for i := range parts {
		a := t.find(parts[i])
		if a == nil {
			continue
		}
		var none string // beyond the text's ends
		left, right := &none, &none
		if i > 0 {
			left = &parts[i-1]
		}
		if i < len(parts)-1 {
			right = &parts[i+1]
		}
		wasLeft, wasRight := *left, *right
		if a.StripRight {
			*right = strings.TrimLeftFunc(*right, isBlank)
		}
		if a.StripLeft {
			*left = strings.TrimRightFunc(*left, isBlank)
		}
		switch {
		case a.SingleWord && wasLeft != "" && !strings.HasSuffix(wasLeft, " "):
			*left, parts[i] = *left+a.Content, ""
		case a.SingleWord && wasRight != "" && !strings.HasPrefix(wasRight, " "):
			*right, parts[i] = a.Content+*right, ""
		}
	}
	return slices.DeleteFunc(parts, func(part string) bool { return part == "" })
}

// cut finds the leftmost added token first, and of those that begin at one
// place the longest.
func (t *Tokenizer) cut(text string) (parts []string) {
	begin, i := 0, 0
	for i < len(text) {
		n := slices.IndexFunc(t.added, func(a addedToken) bool { return strings.HasPrefix(text[i:], a.Content) })
		if n < 0 {
			i++
			continue
		}
		if begin < i {
			parts = append(parts, text[begin:i])
		}
		begin, i = i+len(t.added[n].Content), i+len(t.added[n].Content)
		parts = append(parts, t.added[n].Content)
	}
	if begin < len(text) {
		parts = append(parts, text[begin:])
	}
	return parts
}

// isBlank is Python's str.isspace.
func isBlank(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
