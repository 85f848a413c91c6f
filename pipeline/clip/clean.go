package clip

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// clean normalises a text: control characters go, ideographs stand alone,
// composed (NFC), one blank between words and none around them, lower case.
func clean(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case r == ' ' || r == '\t' || r == '\n' || r == '\r' || r >= utf8.RuneSelf && unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r == utf8.RuneError || unicode.Is(unicode.C, r):
		case isIdeograph(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	words := strings.Fields(compose(b.String()))
	for i, word := range words {
		words[i] = lower(word)
	}
	return strings.Join(words, " ")
}

// isIdeograph tells whether BERT's tokenizer, whose cleaning this is, takes r
// for a Chinese character: a word of its own.
func isIdeograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF || 0x4E00 <= r && r <= 0x9FFF || 0xF900 <= r && r <= 0xFAFF ||
		0x20000 <= r && r <= 0x2A6DF || 0x2A700 <= r && r <= 0x2CEAF || 0x2F800 <= r && r <= 0x2FA1F)
}

// lower is the full lower case of Unicode's SpecialCasing, as Python's.
func lower(word string) string {
	if !strings.ContainsAny(word, "İΣ") {
		return strings.ToLower(word)
	}
	var b strings.Builder
	for i, r := range word {
		switch {
		case r == 'İ':
			b.WriteString("i̇")
		case r == 'Σ' && endsWord(word, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is the condition Final_Sigma for the letter at i: a cased letter
// before it and none behind, beyond what is ignored.
func endsWord(word string, i int) bool {
	cased := func(r rune) bool {
		return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
	}
	ignored := func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:·՟״‘’․‧︓﹒﹕＇．：", r)
	}
	before := strings.TrimRightFunc(word[:i], ignored)
	behind := strings.TrimLeftFunc(word[i+len("Σ"):], ignored)
	last, _ := utf8.DecodeLastRuneInString(before)
	first, _ := utf8.DecodeRuneInString(behind)
	return before != "" && cased(last) && (behind == "" || !cased(first))
}

// compose is NFC. Package norm makes that of Unicode's stream-safe format
// where more than 30 marks follow each other: it puts a joiner, U+034F, after
// every 30. Such texts, and those that hold one, are composed by hand.
func compose(text string) string {
	const joiner = "\u034f"
	composed := norm.NFC.String(text)
	if !strings.Contains(composed, joiner) {
		return composed
	}
	var chars []rune
	for _, r := range text {
		chars = append(chars, []rune(norm.NFD.String(string(r)))...)
	}
	for from, i := 0, 0; i <= len(chars); i++ {
		if i == len(chars) || markClass(chars[i]) == 0 {
			slices.SortStableFunc(chars[from:i], func(a, b rune) int { return int(markClass(a)) - int(markClass(b)) })
			from = i + 1
		}
	}
	out := chars[:0]
	starter := -1 // the character that marks may join, by its place in out
	for _, r := range chars {
		if starter >= 0 {
			last := out[len(out)-1]
			blocked := len(out)-1 > starter && (markClass(last) == 0 || markClass(last) >= markClass(r))
			pair := norm.NFC.String(string(out[starter]) + string(r))
			if !blocked && utf8.RuneCountInString(pair) == 1 {
				out[starter], _ = utf8.DecodeRuneInString(pair)
				continue
			}
		}
		if markClass(r) == 0 {
			starter = len(out)
		}
		out = append(out, r)
	}
	return string(out)
}

// markClass is a character's canonical combining class, 0 for a starter.
func markClass(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }
