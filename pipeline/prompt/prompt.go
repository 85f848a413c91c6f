// Package prompt reads prompts in the syntax of the A1111 web UI: parts of
// different weight, and breaks between chunks of tokens.
//
//	(word)      1.1 times the weight; ((word)) 1.21 times
//	(word:1.3)  1.3 times the weight
//	[word]      the weight divided by 1.1
//	\( \) \[ \] the characters themselves
//	BREAK       what follows begins a new chunk
//
// Parsing and chunks equal those of the web UI at its default settings, but for
// a BREAK within brackets: it breaks there too. More than 100 brackets that are
// open at a time are refused.
package prompt

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Part is a piece of a prompt whose tokens have one weight.
type Part struct {
	Text   string
	Weight float64
	Break  bool // the end of a chunk, without text
}

// What one pair of brackets does to a weight.
const (
	emphasis  = 1.1
	attention = 1 / emphasis
)

var (
	token   = regexp.MustCompile(`\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:`)
	breaks  = regexp.MustCompile(`\s*\bBREAK\b\s*`)
	network = regexp.MustCompile(`<(?:lora|lyco|hypernet):[^>]*>`)
	changes = regexp.MustCompile(`(?:^|[^\\])\[[^\[\]]*(?::\s*[+-]?[.\d]+\s*|\|[^\[\]]*)\]`)
	both    = regexp.MustCompile(`\bAND\b`)
)

// Parse cuts a prompt into its parts. The web UI's other syntax is an error
// that says what to write: prompts that change from step to step, several
// prompts joined by AND, and networks named in the prompt.
func Parse(text string) ([]Part, error) {
	if err := refuse(text); err != nil {
		return nil, err
	}
	var p parser
	for _, match := range token.FindAllStringSubmatch(text, -1) {
		if err := p.read(match[0], match[1]); err != nil {
			return nil, err
		}
	}
	// Brackets that nobody closed reach to the end.
	for _, from := range p.round {
		p.multiply(from, emphasis)
	}
	for _, from := range p.square {
		p.multiply(from, attention)
	}
	if len(p.parts) == 0 {
		p.add("")
	}
	return merge(p.parts), nil
}

func refuse(text string) error {
	if found := network.FindString(text); found != "" {
		return fmt.Errorf("%s is no part of a prompt here: name it in loras", found)
	}
	if found := changes.FindString(text); found != "" {
		return fmt.Errorf("%s changes the prompt from step to step, which is not built yet; \\[ and \\] are brackets without a meaning", found)
	}
	if both.MatchString(text) {
		return fmt.Errorf("AND joins several prompts, which is not built yet; in lower case it is a word")
	}
	return nil
}

// maxOpen bounds what a bracket's end costs, which changes the weights of all
// parts within, and those within the brackets around it again.
const maxOpen = 100

type parser struct {
	parts         []Part
	round, square []int // where the open brackets' parts begin
}

func (p *parser) add(text string) { p.parts = append(p.parts, Part{Text: text, Weight: 1}) }

func (p *parser) multiply(from int, by float64) {
	for i := range p.parts[from:] {
		p.parts[from+i].Weight *= by
	}
}

// read takes the next piece of the text. A weight before a closing bracket
// comes with it.
func (p *parser) read(piece, weight string) error {
	switch {
	case piece[0] == '\\':
		p.add(piece[1:])
	case (piece == "(" || piece == "[") && len(p.round)+len(p.square) == maxOpen:
		return fmt.Errorf("more than %d brackets are open at a time; \\( and \\[ are brackets without a meaning", maxOpen)
	case piece == "(":
		p.round = append(p.round, len(p.parts))
	case piece == "[":
		p.square = append(p.square, len(p.parts))
	case weight != "" && len(p.round) > 0:
		by, err := strconv.ParseFloat(weight, 64)
		if err != nil {
			return fmt.Errorf("%q is no weight, want a number such as 1.2", weight)
		}
		p.multiply(pop(&p.round), by)
	case piece == ")" && len(p.round) > 0:
		p.multiply(pop(&p.round), emphasis)
	case piece == "]" && len(p.square) > 0:
		p.multiply(pop(&p.square), attention)
	default:
		for i, text := range breaks.Split(piece, -1) {
			if i > 0 {
				p.parts = append(p.parts, Part{Break: true})
			}
			p.add(text)
		}
	}
	return nil
}

func pop(stack *[]int) int {
	last := len(*stack) - 1
	top := (*stack)[last]
	*stack = (*stack)[:last]
	return top
}

// merge joins neighbours of one weight: a word that brackets cut in two is one
// word for the tokenizer.
func merge(parts []Part) []Part {
	merged := parts[:0]
	var text strings.Builder
	for i, part := range parts {
		text.WriteString(part.Text)
		if next := i + 1; next < len(parts) && !part.Break && !parts[next].Break && parts[next].Weight == part.Weight {
			continue
		}
		part.Text = text.String()
		text.Reset()
		merged = append(merged, part)
	}
	return merged
}
