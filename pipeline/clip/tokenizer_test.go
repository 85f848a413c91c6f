package clip_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/darkroom/darkroom/pipeline/clip"
)

// folder is the test vocabulary with one folder's word on special tokens.
func folder(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	paths := []string{"testdata/vocab.json", "testdata/merges.txt"}
	more, _ := filepath.Glob("testdata/" + name + "/*.json")
	for _, path := range append(paths, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = &fstest.MapFile{Data: data}
	}
	return files
}

func load(t testing.TB, name string) *clip.Tokenizer {
	t.Helper()
	tokenizer, err := clip.Load(folder(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

type golden struct {
	Text   string
	IDs    []int64 // without what repeats the last: padding
	Length int     // with it
	Tokens int     // without start, end, padding and truncation
}

func readGolden(t testing.TB) map[string][]golden {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]golden
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGolden compares with transformers; testdata/golden.py made the data.
func TestGolden(t *testing.T) {
	for name, cases := range readGolden(t) {
		t.Run(name, func(t *testing.T) {
			tokenizer := load(t, name)
			for _, want := range cases {
				ids, truncated := tokenizer.Encode(want.Text)
				if len(ids) != want.Length || !slices.Equal(trim(ids), want.IDs) {
					t.Errorf("%+q has the ids\n%d, want\n%d", want.Text, trim(ids), want.IDs)
				}
				if tokens := tokenizer.Tokens(want.Text); len(tokens) != want.Tokens {
					t.Errorf("%+q has %d tokens, want %d", want.Text, len(tokens), want.Tokens)
				}
				if want := want.Tokens > want.Length-2; truncated != want {
					t.Errorf("truncated is %v, want %v", truncated, want)
				}
			}
		})
	}
}

// trim leaves out what repeats the last id.
func trim(ids []int64) []int64 {
	end := len(ids)
	for end > 1 && ids[end-2] == ids[len(ids)-1] {
		end--
	}
	return ids[:end]
}

func TestConcurrent(t *testing.T) {
	tokenizer, cases := load(t, "clip"), readGolden(t)["clip"]
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, want := range cases {
				if ids, _ := tokenizer.Encode(want.Text); !slices.Equal(trim(ids), want.IDs) {
					t.Errorf("%+q has other ids beside others", want.Text)
				}
			}
		})
	}
	group.Wait()
}

// Every error of Load names the file that is wrong.
func TestLoadErrors(t *testing.T) {
	const gone = "(gone)"
	for _, test := range []struct{ file, content, want string }{
		{"vocab.json", gone, "does not exist"},
		{"merges.txt", gone, "does not exist"},
		{"vocab.json", "{}", "no tokens"},
		{"vocab.json", `{"a": 1`, "unexpected end"},
		{"vocab.json", `{"a": "b"}`, "cannot unmarshal"},
		{"vocab.json", `{"a": -1}`, `"a" has the id -1`},
		{"vocab.json", `{"a": 1e99}`, "cannot unmarshal"},
		{"merges.txt", "#version\na b\na b c\n", "line 3 has 3 parts"},
		{"tokenizer_config.json", `[]`, "cannot unmarshal"},
		{"tokenizer_config.json", `{"model_max_length": 2}`, "model_max_length is 2"},
		{"tokenizer_config.json", `{"model_max_length": 7.5}`, "model_max_length is 7.5"},
		{"tokenizer_config.json", `{"bos_token": 3}`, "bos_token"},
		{"tokenizer_config.json", `{"added_tokens_decoder": {"7": {"content": ""}}}`, "added token"},
		{"special_tokens_map.json", `{"additional_special_tokens": "x"}`, "additional_special_tokens"},
		{"added_tokens.json", `{"a": -4}`, "-4"},
		{"tokenizer.json", `nonsense`, "invalid character"},
	} {
		files := folder(t, "bare")
		if files[test.file] = (&fstest.MapFile{Data: []byte(test.content)}); test.content == gone {
			delete(files, test.file)
		}
		_, err := clip.Load(files)
		if err == nil || !strings.HasPrefix(err.Error(), test.file+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %s: %v; want the file's name and %q", test.file, test.content, err, test.want)
		}
		if test.content == gone && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is gone, and the error is not fs.ErrNotExist: %v", test.file, err)
		}
	}
}

// A tokenizer without a limit is saved with one of 1e30.
func TestNoLimit(t *testing.T) {
	files := folder(t, "bare")
	files["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(`{"model_max_length": 1000000000000000019884624838656}`)}
	tokenizer, err := clip.Load(files)
	if err != nil || tokenizer.MaxLength() != 77 {
		t.Fatalf("MaxLength is %d, %v", tokenizer.MaxLength(), err)
	}
}

func FuzzEncode(f *testing.F) {
	all := readGolden(f)
	var tokenizers []*clip.Tokenizer
	for name, cases := range all {
		tokenizers = append(tokenizers, load(f, name))
		for _, c := range cases {
			f.Add(c.Text)
		}
	}
	f.Add("\xff\xfe invalid \xc3")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tokenizer := range tokenizers {
			ids, truncated := tokenizer.Encode(text)
			if len(ids) != tokenizer.MaxLength() {
				t.Fatalf("%d ids, want %d", len(ids), tokenizer.MaxLength())
			}
			tokens := tokenizer.Tokens(text)
			if n := min(len(tokens), len(ids)-2); !slices.Equal(ids[1:1+n], tokens[:n]) || truncated != (len(tokens) > n) {
				t.Fatalf("Encode gives %d, truncated %v; Tokens %d", ids, truncated, tokens)
			}
			for _, id := range append(ids, tokens...) {
				if id < 0 || id >= tokenizer.VocabularySize() {
					t.Fatalf("id %d is not in a vocabulary of %d", id, tokenizer.VocabularySize())
				}
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	tokenizer := load(b, "clip")
	b.ReportAllocs()
	for b.Loop() {
		tokenizer.Encode("A small red circle to the left of a large blue square, on a yellow background, it's trending on artstation")
	}
}

func BenchmarkLoad(b *testing.B) {
	files := folder(b, "clip")
	for b.Loop() {
		if _, err := clip.Load(files); err != nil {
			b.Fatal(err)
		}
	}
}
