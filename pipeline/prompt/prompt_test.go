package prompt

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `""`,
		"a cat":                       `"a cat"`,
		"a (cat)":                     `"a " "cat"*1.1`,
		"a ((cat)) on [mat]":          `"a " "cat"*1.21 " on " "mat"*0.909`,
		"(a cat:1.3), (b:-.5)":        `"a cat"*1.3 ", " "b"*-0.5`,
		"(a (b:2) c)":                 `"a "*1.1 "b"*2.2 " c"*1.1`,
		`\(a\) \[b\] \\ c\d`:          `"(a) [b] \\ cd"`,
		"(open [too":                  `"open "*1.1 "too"`,
		"closed) too] 12:30":          `"closed) too] 12:30"`,
		"a:1.2) b":                    `"a:1.2) b"`,
		"a BREAK b":                   `"a" | "b"`,
		"BREAK":                       `"" | ""`,
		"a BREAKFAST":                 `"a BREAKFAST"`,
		"(a BREAK b:1.5)":             `"a"*1.5 | "b"*1.5`,
		"[one:two three] :1.2 four":   `"one:two three"*0.909 " :1.2 four"`,
		"unbel(iev)able and unb(elie": `"unbel" "iev"*1.1 "able and unb" "elie"*1.1`,
	} {
		parts, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, p := range parts {
			switch {
			case p.Break:
				got = append(got, "|")
			case p.Weight == 1:
				got = append(got, fmt.Sprintf("%q", p.Text))
			default:
				got = append(got, fmt.Sprintf("%q*%.3g", p.Text, p.Weight))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q became %s, want %s", text, strings.Join(got, " "), want)
		}
	}
}

func TestParseFails(t *testing.T) {
	for text, want := range map[string]string{
		"a <lora:style:0.8> cat":  "name it in loras",
		"a [cat:dog:0.5]":         "from step to step",
		"[(a):b: 10 ]":            "from step to step",
		"a [cow|horse]":           "from step to step",
		"a cat AND a dog":         "AND joins",
		"(a:1.2.3)":               "no weight",
		strings.Repeat("([a", 51): "more than 100 brackets are open at a time",
	} {
		if parts, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q became %v, %v; want %q", text, parts, err, want)
		}
	}
	for _, text := range []string{`\[a:0.5\]`, "and", "band AID", "[a (b:1.2)]", strings.Repeat("([a", 50) + strings.Repeat("a])(", 50)} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLongPrompt holds that a prompt takes memory in proportion to its length, and so
// the time too, however often it is cut.
func TestLongPrompt(t *testing.T) {
	const length = 1 << 16
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	parts, err := Parse(strings.Repeat(`\(`, length/2))
	if err != nil || len(parts) != 1 || parts[0].Text != strings.Repeat("(", length/2) {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	runtime.ReadMemStats(&after)
	if most := uint64(1 << 26); after.TotalAlloc-before.TotalAlloc > most {
		t.Errorf("a prompt of %d bytes took %d bytes, want at most %d", length, after.TotalAlloc-before.TotalAlloc, most)
	}
}

// TestChunks takes words for tokens: 0 is a comma.
func TestChunks(t *testing.T) {
	tokens := Tokens{Room: 30, Comma: 0, IDs: func(text string) (ids []int64) {
		for _, r := range text {
			ids = append(ids, int64(r-'0'))
		}
		return ids
	}}
	ones := func(n int) string { return strings.Repeat("1", n) }
	for text, want := range map[string][]int{
		"":                                {0},
		ones(30):                          {30},
		ones(31):                          {30, 1},
		ones(10) + "0" + ones(20):         {11, 20}, // the 19 behind the comma move
		ones(9) + "0" + ones(21):          {30, 1},  // 20 don't
		ones(30) + "0" + ones(3):          {30, 4},  // a comma that has no room
		ones(29) + "0" + ones(3):          {30, 3},
		ones(3) + " BREAK " + ones(4):     {3, 4},
		ones(3) + " BREAK  BREAK " + "11": {3, 0, 2},
	} {
		parts, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		var all []int64
		for _, c := range tokens.Chunks(parts) {
			got = append(got, len(c.IDs))
			all = append(all, c.IDs...)
			if len(c.Weights) != len(c.IDs) {
				t.Errorf("%q: %d ids have %d weights", text, len(c.IDs), len(c.Weights))
			}
		}
		plain := strings.NewReplacer("BREAK", "", " ", "").Replace(text)
		if !slices.Equal(got, want) || !slices.Equal(all, tokens.IDs(plain)) {
			t.Errorf("%q became chunks of %v, want %v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("((a [b:1.2) \\( BREAK c]")
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := Parse(text)
		if err != nil {
			return
		}
		if len(parts) == 0 {
			t.Errorf("%q has no part", text)
		}
	})
}
