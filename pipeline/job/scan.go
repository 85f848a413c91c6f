package job

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads one JSON value (RFC 8259) whose text is UTF-8. It is stricter
// than encoding/json: half a surrogate pair is an error, not U+FFFD. Its
// caller sees every key of an object, and so those that come twice. The first
// error sticks, and from there on the methods do nothing.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   error
}

// maxDepth bounds the recursion into values that nobody wants.
const maxDepth = 100

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("malformed JSON at byte %d: %s", s.pos+1, fmt.Sprintf(format, args...))
	}
}

// peek returns the first byte of what comes next, 0 at the end or after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// expect reads the byte c.
func (s *scanner) expect(c byte, where string) {
	if s.peek() == c && s.err == nil {
		s.pos++
		return
	}
	s.unexpected(fmt.Sprintf("want %q %s", c, where))
}

func (s *scanner) unexpected(want string) {
	if s.err != nil {
		return
	}
	if s.pos >= len(s.data) {
		s.fail("it ends too early, %s", want)
		return
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	s.fail("%q, %s", r, want)
}

// object reads an object and calls member, which must read the value, for each key.
func (s *scanner) object(member func(key []byte)) {
	s.list('{', '}', func() {
		if s.peek() != '"' {
			s.unexpected("want a field's name in double quotes")
			return
		}
		key := s.text()
		s.expect(':', "behind a field's name")
		if s.err == nil {
			member(key)
		}
	})
}

// array reads an array and calls element, which must read the value, for each index.
func (s *scanner) array(element func(i int)) {
	i := 0
	s.list('[', ']', func() { element(i); i++ })
}

func (s *scanner) list(open, end byte, item func()) {
	s.expect(open, "")
	if s.depth++; s.depth > maxDepth {
		s.fail("nested more than %d deep", maxDepth)
	}
	if s.peek() == end && s.err == nil {
		s.pos++
		s.depth--
		return
	}
	for s.err == nil {
		item()
		switch s.peek() {
		case ',':
			s.pos++
		case end:
			s.pos++
			s.depth--
			return
		default:
			s.unexpected(fmt.Sprintf("want ',' or %q", end))
		}
	}
}

// text reads a string; the result may lie in the scanner's data.
func (s *scanner) text() []byte {
	if s.expect('"', "before a string"); s.err != nil {
		return nil
	}
	begin := s.pos
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[begin : s.pos-1]
		case c == '\\':
			return s.escaped(bytes.Clone(s.data[begin:s.pos]))
		case c < ' ':
			s.fail("control character %q in a string, want it escaped", c)
			return nil
		}
	}
	s.fail("a string has no end")
	return nil
}

// escaped goes on with a string at its first backslash.
func (s *scanner) escaped(text []byte) []byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return text
		case c < ' ':
			s.fail("control character %q in a string, want it escaped", c)
			return nil
		case c != '\\':
			text = append(text, c)
			s.pos++
		default:
			if text = s.escape(text); s.err != nil {
				return nil
			}
		}
	}
	s.fail("a string has no end")
	return nil
}

func (s *scanner) escape(text []byte) []byte {
	rest := s.data[s.pos:]
	if len(rest) < 2 {
		s.fail("a string has no end")
		return nil
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := bytes.IndexByte([]byte(from), rest[1]); i >= 0 {
		s.pos += 2
		return append(text, to[i])
	}
	if rest[1] != 'u' {
		s.fail(`unknown escape \%c`, rest[1])
		return nil
	}
	r, ok := codeUnit(rest)
	if !ok {
		s.fail(`\u needs four hex digits`)
		return nil
	}
	size := 6
	if utf16.IsSurrogate(r) {
		low, ok := codeUnit(rest[6:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			s.fail("half a surrogate pair")
			return nil
		}
		size = 12
	}
	s.pos += size
	return utf8.AppendRune(text, r)
}

// codeUnit reads \uXXXX at the beginning of data.
func codeUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range data[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// number reads a number and returns its text.
func (s *scanner) number() []byte {
	s.peek()
	begin := s.pos
	digits := func() {
		first := s.pos
		for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
			s.pos++
		}
		if s.pos == first {
			s.unexpected("want a digit")
		}
	}
	next := func(set string) bool {
		if s.err == nil && s.pos < len(s.data) && bytes.IndexByte([]byte(set), s.data[s.pos]) >= 0 {
			s.pos++
			return true
		}
		return false
	}
	next("-")
	if next("0") {
		if s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
			s.fail("a number begins with 0")
		}
	} else {
		digits()
	}
	if next(".") {
		digits()
	}
	if next("eE") {
		next("+-")
		digits()
	}
	return s.data[begin:s.pos]
}

// value reads whatever comes next and returns its text.
func (s *scanner) value() []byte {
	c := s.peek()
	begin := s.pos
	switch {
	case s.err != nil:
	case c == '{':
		s.object(func([]byte) { s.value() })
	case c == '[':
		s.array(func(int) { s.value() })
	case c == '"':
		s.text()
	case c == '-' || '0' <= c && c <= '9':
		s.number()
	default:
		if !s.literal("true") && !s.literal("false") && !s.literal("null") {
			s.unexpected("want a value")
		}
	}
	return s.data[begin:s.pos]
}

// literal reads the word if it comes next.
func (s *scanner) literal(word string) bool {
	s.peek()
	if s.err != nil || !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return false
	}
	s.pos += len(word)
	return true
}

// end checks that nothing comes after the value.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.data) {
		s.unexpected("want nothing behind the job's closing brace")
	}
}

// parseWhole reads the text of a JSON number as a whole number: digits, and
// nothing but zeros behind a point.
func parseWhole(number []byte) (uint64, bool) {
	whole, fraction, _ := bytes.Cut(number, []byte("."))
	if len(bytes.Trim(fraction, "0")) > 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(whole), 10, 64)
	return n, err == nil
}
