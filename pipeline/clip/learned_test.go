package clip

import (
	"os"
	"slices"
	"testing"
)

func TestWith(t *testing.T) {
	plain, err := Load(os.DirFS("../../models/house/tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	next := plain.VocabularySize()
	more, err := plain.With([]Word{{"<gem>", []int64{next, next + 1}}, {"<gem>s", []int64{next + 2}}})
	if err != nil {
		t.Fatal(err)
	}
	a := plain.Tokens("a")
	if got, want := more.Tokens("a <gem>, a <gem>s"), slices.Concat(a, []int64{next, next + 1}, plain.Tokens(","), a, []int64{next + 2}); !slices.Equal(got, want) {
		t.Errorf("the ids are %v, want %v", got, want)
	}
	if got := plain.Tokens("<gem>"); slices.Contains(got, next) || plain.VocabularySize() != next {
		t.Errorf("the tokenizer itself has learned: %v", got)
	}
	for _, word := range []Word{{"circle", []int64{next}}, {"Circle", []int64{next}}, {"<|endoftext|>", []int64{next}}, {"", []int64{next}}, {"<new>", nil}} {
		if _, err := more.With([]Word{word}); err == nil {
			t.Errorf("%q is learned", word.Text)
		}
	}
	if _, err := more.With([]Word{{"<gem>", []int64{next + 3}}}); err == nil {
		t.Error("a word is learned twice")
	}
}
