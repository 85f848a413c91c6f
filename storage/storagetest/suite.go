// Package storagetest holds the conformance suite of storage.Store.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/darkroom/darkroom/storage"
)

// Run checks that stores keep the contract of [storage.Store]. Open returns an
// empty store of the kind under test, and cleans up after it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for name, test := range map[string]func(*testing.T, storage.Store){
		"Get returns what was put":               roundTrip,
		"Get misses":                             missing,
		"Put replaces":                           replace,
		"PutIfAbsent keeps the first":            keepFirst,
		"of 50 writers one wins":                 race,
		"readers see whole objects":              wholeObjects,
		"bytes are copied":                       copied,
		"Delete":                                 deleteTwice,
		"List is in byte order":                  listOrder,
		"List by prefix":                         listPrefix,
		"List ends when its reader does":         listStop,
		"List while objects come and go":         listBusy,
		"Top names the folders":                  top,
		"bad names are refused":                  badNames,
		"odd names are kept":                     oddNames,
		"nothing happens in a context done":      cancelled,
		"concurrent writers of many sub-folders": manyFolders,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func roundTrip(t *testing.T, s storage.Store) {
	big := make([]byte, 9<<20+1)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	for name, data := range map[string][]byte{
		"empty": {}, "text.json": []byte("{}\n"), "zeros": make([]byte, 5),
		"batch/00000/00000001-0123456789ab.png": []byte("\x89PNG\r\n\x1a\n"), "big": big,
	} {
		must(t, s.PutIfAbsent(t.Context(), name, data))
		want(t, s, name, data)
		must(t, s.Put(t.Context(), "again/"+name, data))
		want(t, s, "again/"+name, data)
	}
}

func missing(t *testing.T, s storage.Store) {
	must(t, s.Put(t.Context(), "a/b/c", nil))
	for _, name := range []string{"x", "a/x", "a/b", "a", "a/b/c/d", "x/y/z"} {
		if data, err := s.Get(t.Context(), name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get(%q) = %q, %v; want ErrNotFound", name, data, err)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("Get(%q): the error doesn't name it: %v", name, err)
		}
	}
}

func replace(t *testing.T, s storage.Store) {
	for _, data := range []string{"first, and long", "second", "", "fourth"} {
		must(t, s.Put(t.Context(), "a/name", []byte(data)))
		want(t, s, "a/name", []byte(data))
	}
	wantList(t, s, "", "a/name")
}

func keepFirst(t *testing.T, s storage.Store) {
	must(t, s.PutIfAbsent(t.Context(), "a/name", []byte("first")))
	for _, data := range []string{"second", "", "first"} {
		err := s.PutIfAbsent(t.Context(), "a/name", []byte(data))
		if !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), "a/name") {
			t.Errorf("PutIfAbsent of a name that is taken = %v; want ErrExists with the name", err)
		}
	}
	want(t, s, "a/name", []byte("first"))
	must(t, s.Delete(t.Context(), "a/name"))
	must(t, s.PutIfAbsent(t.Context(), "a/name", []byte("again")))
	want(t, s, "a/name", []byte("again"))
}

func race(t *testing.T, s storage.Store) {
	for round := range 8 {
		name := fmt.Sprintf("round/%d/name", round)
		errs := make([]error, 50)
		together(len(errs), func(i int) {
			errs[i] = s.PutIfAbsent(t.Context(), name, fmt.Appendf(nil, "writer %d", i))
		})
		winner := slices.Index(errs, nil)
		if winner < 0 {
			t.Fatalf("nobody won: %v", errs[0])
		}
		want(t, s, name, fmt.Appendf(nil, "writer %d", winner))
		for i, err := range errs {
			if i != winner && !errors.Is(err, storage.ErrExists) {
				t.Errorf("writer %d beside the winner %d = %v; want ErrExists", i, winner, err)
			}
		}
	}
}

func wholeObjects(t *testing.T, s storage.Store) {
	object := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 100_000+i) }
	must(t, s.Put(t.Context(), "name", object(0)))
	together(6, func(i int) {
		for round := range 10 {
			if i < 3 {
				if err := s.Put(t.Context(), "name", object(3*round+i)); err != nil {
					t.Errorf("Put among others: %v", err)
				}
				continue
			}
			data, err := s.Get(t.Context(), "name")
			if err != nil || !bytes.Equal(data, object(len(data)-100_000)) {
				t.Errorf("Get among puts: no whole object of %d bytes, %v", len(data), err)
			}
		}
	})
}

func copied(t *testing.T, s storage.Store) {
	data := []byte("data")
	must(t, s.Put(t.Context(), "a", data))
	must(t, s.PutIfAbsent(t.Context(), "b", data))
	data[0] = 'X'
	for _, name := range []string{"a", "b"} {
		got, err := s.Get(t.Context(), name)
		must(t, err)
		if string(got) != "data" {
			t.Errorf("%s changed with the writer's slice: %q", name, got)
		}
		got[0] = 'Y'
		want(t, s, name, []byte("data"))
	}
}

func deleteTwice(t *testing.T, s storage.Store) {
	must(t, s.Put(t.Context(), "a/b", nil))
	must(t, s.Put(t.Context(), "a/c", nil))
	for _, name := range []string{"a/b", "a/b", "a", "x", "x/y", "a/c/d"} {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete(%q) = %v", name, err)
		}
	}
	wantList(t, s, "", "a/c")
}

func listOrder(t *testing.T, s storage.Store) {
	names := []string{"b", "a/b", "a-b", "a.b", "a0", "a/b-c", "a/bc", "a/é", "a/z", "B", "a/00000/2", "a/00000/10", "a/00000-x", "é"}
	for _, name := range names {
		must(t, s.Put(t.Context(), name, nil))
	}
	slices.Sort(names)
	wantList(t, s, "", names...)
}

func listPrefix(t *testing.T, s storage.Store) {
	for _, name := range []string{"a/1", "a/12/x", "a/12/y", "a/12.json", "a/2", "ab", "b/1"} {
		must(t, s.Put(t.Context(), name, nil))
	}
	for prefix, names := range map[string][]string{
		"a/":      {"a/1", "a/12.json", "a/12/x", "a/12/y", "a/2"},
		"a":       {"a/1", "a/12.json", "a/12/x", "a/12/y", "a/2", "ab"},
		"a/1":     {"a/1", "a/12.json", "a/12/x", "a/12/y"},
		"a/12/":   {"a/12/x", "a/12/y"},
		"a/12/y":  {"a/12/y"},
		"a/1/":    nil,
		"c":       nil,
		"c/d/":    nil,
		"a/12/x/": nil,
		"b/":      {"b/1"},
	} {
		wantList(t, s, prefix, names...)
	}
	for _, prefix := range []string{"../", "/", "a//", "a/../", "./"} {
		for name, err := range s.List(t.Context(), prefix) {
			if err == nil {
				t.Errorf("List(%q) yields %q; want an error", prefix, name)
			}
		}
	}
}

func listStop(t *testing.T, s storage.Store) {
	for i := range 9 {
		must(t, s.Put(t.Context(), fmt.Sprintf("%d/%d", i/3, i%3), nil))
	}
	var seen []string
	for name, err := range s.List(t.Context(), "") {
		must(t, err)
		if seen = append(seen, name); len(seen) == 4 {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "0/0 0/1 0/2 1/0" {
		t.Errorf("the first four names are %s", got)
	}
}

func listBusy(t *testing.T, s storage.Store) {
	var stay []string
	for i := range 40 {
		stay = append(stay, fmt.Sprintf("%d/stays-%02d", i/10, i))
		must(t, s.Put(t.Context(), stay[i], nil))
	}
	together(3, func(i int) {
		for round := range 10 {
			if i > 0 {
				name := fmt.Sprintf("%d/goes-%d", round%4, i)
				if err := errors.Join(s.Put(t.Context(), name, nil), s.Delete(t.Context(), name)); err != nil {
					t.Error(err)
				}
				continue
			}
			var seen []string
			for name, err := range s.List(t.Context(), "") {
				if err != nil {
					t.Errorf("List among puts: %v", err)
				}
				if strings.Contains(name, "stays") {
					seen = append(seen, name)
				}
			}
			if !slices.Equal(seen, stay) {
				t.Errorf("List among puts: %d of %d names that were there: %q", len(seen), len(stay), seen)
			}
		}
	})
}

func badNames(t *testing.T, s storage.Store) {
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/.", `a\b`, `..\a`, "C:/a", "a\x00b", "a\nb", "a\x7f", "\xff",
		".darkroom", ".darkroom/x", strings.Repeat("x", 256), "a/" + strings.Repeat("x", 256) + "/b", strings.Repeat("x/", 450) + "x",
	} {
		_, get := s.Get(t.Context(), name)
		for call, err := range map[string]error{
			"Get": get, "Put": s.Put(t.Context(), name, nil),
			"PutIfAbsent": s.PutIfAbsent(t.Context(), name, nil), "Delete": s.Delete(t.Context(), name),
		} {
			switch {
			case err == nil || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrExists):
				t.Errorf("%s(%q) = %v; want it refused", call, name, err)
			case !strings.Contains(err.Error(), fmt.Sprintf("%q", name)):
				t.Errorf("%s(%q): the error doesn't quote the name: %v", call, name, err)
			}
		}
	}
	wantList(t, s, "")
}

func oddNames(t *testing.T, s storage.Store) {
	names := []string{
		"with space/a b.json", "...", "a/..b", ".hidden/x", "x/.darkroom", "été/☃.png", "%2e%2e/%00", "a?b*c[d]", "-rf", "~", "a@0123", "put-x",
		strings.Repeat("y", 255), strings.Repeat("z/", 440) + "z",
	}
	for _, name := range names {
		must(t, s.PutIfAbsent(t.Context(), name, []byte(name)))
		want(t, s, name, []byte(name))
	}
	slices.Sort(names)
	wantList(t, s, "", names...)
}

func cancelled(t *testing.T, s storage.Store) {
	must(t, s.Put(t.Context(), "a", []byte("data")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.Get(ctx, "a")
	var list error
	for _, err := range s.List(ctx, "") {
		list = err
	}
	for call, err := range map[string]error{
		"Get": get, "Put": s.Put(ctx, "a", nil), "PutIfAbsent": s.PutIfAbsent(ctx, "b", nil), "Delete": s.Delete(ctx, "a"), "List": list,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s in a cancelled context = %v", call, err)
		}
	}
	want(t, s, "a", []byte("data"))
	wantList(t, s, "", "a")
}

func manyFolders(t *testing.T, s storage.Store) {
	together(16, func(i int) {
		for j := range 8 {
			name := fmt.Sprintf("deep/%d/%d/%d", j%4, j/4, i)
			if err := s.PutIfAbsent(t.Context(), name, []byte(name)); err != nil {
				t.Error(err)
			}
		}
	})
	n := 0
	for name, err := range s.List(t.Context(), "deep/") {
		must(t, err)
		want(t, s, name, []byte(name))
		n++
	}
	if n != 16*8 {
		t.Errorf("%d objects of %d", n, 16*8)
	}
}

// together runs n calls at the same time and waits for them.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			call(i)
		})
	}
	done.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, s storage.Store, name string, data []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), name)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("%s holds %d bytes %.20q; want %d bytes %.20q", name, len(got), got, len(data), data)
	}
}

func wantList(t *testing.T, s storage.Store, prefix string, names ...string) {
	t.Helper()
	var got []string
	for name, err := range s.List(t.Context(), prefix) {
		must(t, err)
		got = append(got, name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("List(%q)\n  = %q\nwant %q", prefix, got, names)
	}
}

func top(t *testing.T, store storage.Store) {
	if got, err := storage.Top(t.Context(), store); err != nil || len(got) != 0 {
		t.Errorf("of an empty store: %q, %v", got, err)
	}
	for _, name := range []string{"b/c/d", "alone", "a/x", "a-b/x", "a/y", "b/e"} {
		if err := store.Put(t.Context(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := storage.Top(t.Context(), store)
	if want := []string{"a", "a-b", "b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
