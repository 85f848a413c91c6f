package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/darkroom/darkroom/storage"
)

// A disk that is full and a file that would be too large fail alike: in the
// middle of writing. The limit on file sizes needs no disk of its own.
func TestFolderWriteFails(t *testing.T) {
	f := open(t, t.TempDir())
	if err := f.Put(t.Context(), "a/old", []byte("old")); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limited := syscall.Rlimit{Cur: 4 << 20, Max: was.Max} // go test's own log of what the tests read is smaller
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 5<<20)
	put, putNew := f.Put(t.Context(), "a/old", big), f.PutIfAbsent(t.Context(), "a/new", big)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"a/old": put, "a/new": putNew} {
		if !errors.Is(err, syscall.EFBIG) || !strings.HasPrefix(err.Error(), "writing "+f.Path(name)+": ") {
			t.Errorf("writing too much to %s = %v", name, err)
		}
	}
	if data, err := f.Get(t.Context(), "a/old"); err != nil || string(data) != "old" {
		t.Errorf("what was there = %q, %v", data, err)
	}
	if _, err := f.Get(t.Context(), "a/new"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("half an object = %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(f.String(), ".darkroom", "put-*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestFolderForbidden(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	f := open(t, filepath.Join(dir, "out"))
	if err := f.Put(t.Context(), "closed/a", nil); err != nil {
		t.Fatal(err)
	}
	for folder, mode := range map[string]fs.FileMode{"closed": 0o555, ".darkroom": 0o777} {
		if err := os.Chmod(f.Path(folder), mode); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t)

	if _, err := storage.Open(filepath.Join(closed, "out")); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), closed) {
		t.Errorf("Open in a folder that is closed = %v", err)
	}
	for call, err := range map[string]error{
		"Put":         f.Put(t.Context(), "closed/b", nil),
		"PutIfAbsent": f.PutIfAbsent(t.Context(), "closed/b", nil),
		"Delete":      f.Delete(t.Context(), "closed/a"),
	} {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), f.Path("closed")) {
			t.Errorf("%s in a folder that is closed = %v", call, err)
		}
	}
}

// asNobody gives up root's right to every file, for this test's thread.
func asNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	setfsuid := func(id uintptr) (was uintptr) {
		was, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, id, 0, 0)
		return was
	}
	runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
	t.Cleanup(func() { setfsuid(0) })
	setfsuid(nobody)
	if setfsuid(nobody) != nobody {
		t.Skip("root can't become nobody here")
	}
}

// A pipe under an object's name is told of, and nobody waits for its other end.
func TestFolderPipe(t *testing.T) {
	f := open(t, t.TempDir())
	if err := syscall.Mkfifo(f.Path("pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := f.Get(t.Context(), "pipe")
		got <- err
	}()
	select {
	case err := <-got:
		if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), f.Path("pipe")+": damaged (it is no file)") {
			t.Errorf("Get of a pipe = %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Get waits for a pipe's other end")
	}
}
