package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fixed are the words that come before all others, in the order of CLIP's
// pattern, in any letter case.
var fixed = []string{"<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// cutWord cuts the first word off a cleaned text: one of the fixed words, a
// run of letters, one digit, or a run of neither. The word is empty where
// nothing but blanks is left.
func cutWord(text string) (word, rest string) {
	text = strings.TrimLeftFunc(text, func(r rune) bool { return classOf(r) == blank })
	if text == "" {
		return "", ""
	}
	if text[0] == '<' || text[0] == '\'' {
		for _, f := range fixed {
			if n := foldPrefix(text, f); n > 0 {
				return text[:n], text[n:]
			}
		}
	}
	first, n := utf8.DecodeRuneInString(text)
	class := classOf(first)
	for class != digit && n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if classOf(r) != class {
			break
		}
		n += size
	}
	return text[:n], text[n:]
}

// foldPrefix returns the length of text's prefix that equals fold but for the
// case of letters, 0 if there is none. A long s is an s.
func foldPrefix(text, fold string) int {
	n := 0
	for _, want := range fold {
		r, size := utf8.DecodeRuneInString(text[n:])
		if r != want && !strings.EqualFold(string(r), string(want)) {
			return 0
		}
		n += size
	}
	return n
}

type class int

const (
	other class = iota
	letter
	digit
	blank
)

func classOf(r rune) class {
	// A mark that is another case of the letter iota: where the pattern looks
	// for anything but letters in any case, it is none, and no letter either.
	const iotaBelow = '\u0345'
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return digit
	case unicode.IsSpace(r) || r == iotaBelow:
		return blank
	}
	return other
}
