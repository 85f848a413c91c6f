package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/storagetest"
)

func open(t testing.TB, dir string) *storage.Folder {
	t.Helper()
	f, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFolder(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, filepath.Join(t.TempDir(), "deep", "out")) })
}

// Temporary files of a crash go at the next open, but not those of a
// neighbour, and nothing that is the user's.
func TestFolderSweep(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	left := filepath.Join(dir, ".darkroom", "put-CRASHED-1")
	for _, path := range []string{left, filepath.Join(dir, "put-mine"), filepath.Join(dir, ".darkroom", "notes")} {
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	neighbour := open(t, dir)
	if _, err := os.Stat(left); err != nil {
		t.Errorf("swept while another has the folder open: %v", err)
	}
	f.Close()
	neighbour.Close()
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left after a crash, and not swept: %v", err)
	}
	for _, path := range []string{"put-mine", ".darkroom/notes"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Errorf("swept what was not ours: %v", err)
		}
	}
}

func TestFolderLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	first, second := open(t, dir), open(t, dir)
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*storage.Folder{first, second} {
		if err := f.Lock(); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("a second lock = %v; want ErrLocked with the folder's name", err)
		}
	}
	if err := second.Put(t.Context(), "a", nil); err != nil {
		t.Errorf("the lock keeps a put out: %v", err)
	}
	first.Close()
	if err := second.Lock(); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

// A sub-folder that somebody removes is made again.
func TestFolderRemovedBehindItsBack(t *testing.T) {
	f := open(t, t.TempDir())
	for range 2 {
		if err := f.PutIfAbsent(t.Context(), "a/b/c", []byte("data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(f.Path("a")); err != nil {
			t.Fatal(err)
		}
	}
}

// Every error of a folder names the file or folder that it is about.
func TestFolderErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "out")} {
		if _, err := storage.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s) = %v", path, err)
		}
	}
	f := open(t, dir)
	want := fmt.Sprintf("writing %s: %s is no folder", filepath.Join(file, "a"), file)
	if err := f.Put(t.Context(), "file/a", nil); err == nil || err.Error() != want {
		t.Errorf("Put below a file = %v; want %s", err, want)
	}
}

const crashDir = "DARKROOM_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		putUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func crashObject(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 200_000) }

// putUntilKilled prints each name once it is put.
func putUntilKilled(dir string) {
	f, err := storage.Open(dir)
	for i := 0; err == nil; i++ {
		name := fmt.Sprintf("%d/%d", i%3, i)
		if err = f.PutIfAbsent(context.Background(), name, crashObject(i)); err == nil {
			fmt.Println(name)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestFolderKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 5 {
		os.RemoveAll(dir)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said := 0
		for lines := bufio.NewScanner(out); lines.Scan(); said++ {
			if said == 2+7*round {
				child.Process.Kill()
			}
		}
		child.Wait()

		f := open(t, dir)
		there := 0
		for name, err := range f.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			data, err := f.Get(t.Context(), name)
			if i, _ := strconv.Atoi(path.Base(name)); err != nil || !bytes.Equal(data, crashObject(i)) {
				t.Errorf("%s is not whole: %d bytes, %v", name, len(data), err)
			}
			there++
		}
		if there < said {
			t.Errorf("%d objects are there of %d whose put returned", there, said)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".darkroom", "put-*")); len(left) > 0 {
			t.Errorf("left after the sweep: %v", left)
		}
		f.Close()
	}
}

// BenchmarkFolderPut flushes every object to the disk: it measures the disk.
func BenchmarkFolderPut(b *testing.B) {
	picture := make([]byte, 20<<10)
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			f := open(b, b.TempDir())
			var n atomic.Int64
			b.SetParallelism(writers) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := f.PutIfAbsent(b.Context(), fmt.Sprintf("a/%d", n.Add(1)), picture); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// Whoever may write into the folder may lay a link there: none has a file
// outside read, replaced, listed or deleted.
func TestFolderLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	if err := f.Put(t.Context(), "inside/a", []byte("a")); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"file": secret, "folder": outside, "relative": relative, "inner": "inside"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "folder/secret", "relative/secret"} {
		data, err := f.Get(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), f.Path(name)) {
			t.Errorf("Get(%s) = %q, %v", name, data, err)
		}
	}
	for _, folder := range []string{"folder", "relative"} {
		for call, err := range map[string]error{
			"Put": f.Put(t.Context(), folder+"/secret", nil), "PutIfAbsent": f.PutIfAbsent(t.Context(), folder+"/new", nil),
			"deep": f.Put(t.Context(), folder+"/deep/new", nil), "Delete": f.Delete(t.Context(), folder+"/secret"),
		} {
			if err == nil {
				t.Errorf("%s through the link %s went well", call, folder)
			}
		}
		for name, err := range f.List(t.Context(), folder+"/") {
			if err == nil {
				t.Errorf("List yields %s", name)
			}
		}
	}
	if data, err := f.Get(t.Context(), "inner/a"); err != nil || string(data) != "a" {
		t.Errorf("through a link that stays inside = %q, %v", data, err)
	}
	var names []string
	for name, err := range f.List(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"inside/a"}) {
		t.Errorf("List yields %v, want inside/a only", names)
	}
	if err := f.Put(t.Context(), "file", []byte("new")); err != nil { // in the link's place
		t.Error(err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside are %v, %v", entries, err)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("the file outside is %q, %v", data, err)
	}
	open(t, filepath.Join(dir, "folder")) // the user's own choice
}

// Files whose names are no object's are not listed: whoever reads what is
// listed would stumble over them.
func TestFolderListsObjects(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for _, name := range []string{"a/b.json", "a/b:c.json", "a/b\nc.json", `a/b\c.json`, "d:e/f"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Skip(err) // not every file system takes such names
		}
	}
	for name, err := range f.List(t.Context(), "") {
		if name != "a/b.json" || err != nil {
			t.Errorf("List yields %q, %v", name, err)
		}
	}
}
