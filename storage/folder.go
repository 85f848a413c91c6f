package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Folder is a store in a folder of the file system: an object is a file. A
// put writes a temporary file, flushes it to the disk, gives it its name in
// one step, and flushes the name. Any number of processes may share a folder
// whose file system has hard links.
//
// Temporary files and locks lie in its sub-folder ".darkroom". Links are
// followed where a name leads through them, but not listed; one that leads out
// of the folder is refused, so that nobody who may write there can have another
// file of the machine read or replaced.
type Folder struct {
	dir   string
	root  *os.Root
	temp  string        // how the names of this Folder's temporary files begin
	count atomic.Uint64 // of its temporary files
	made  sync.Map      // sub-folders that are known to be there
	open  *os.File      // its lock is shared by all who have the folder open

	mu    sync.Mutex
	owner *os.File // its lock is held by Lock
}

var _ Store = (*Folder)(nil)

// errHeld is what tryLock returns when someone holds the lock.
var errHeld = errors.New("locked")

// Open opens the store in a folder, which it creates if need be. Temporary
// files that a crash left there are removed, unless another process has the
// folder open: they might be its own.
func Open(dir string) (*Folder, error) {
	dir = filepath.Clean(dir)
	f := &Folder{dir: dir, temp: path.Join(private, tempPrefix+rand.Text()+"-")}
	if err := f.enter(); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening the folder %s: %w", dir, bare(err))
	}
	return f, nil
}

const tempPrefix = "put-"

// enter makes the folder, sweeps it and takes its share of its lock.
func (f *Folder) enter() error {
	err := os.MkdirAll(f.dir, 0o777)
	if err != nil {
		return err
	}
	if f.root, err = os.OpenRoot(f.dir); err != nil {
		return err
	}
	if err := f.root.MkdirAll(private, 0o777); err != nil {
		return err
	}
	if f.open, err = f.root.OpenFile(path.Join(private, "open.lock"), os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	if tryLock(f.open) == nil {
		if err := f.sweep(); err != nil {
			return err
		}
	}
	// Temporary files of ours come only after this lock, so that no other's
	// sweep can meet them.
	if err := shareLock(f.open); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

func (f *Folder) sweep() error {
	entries, err := f.readDir(private)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), tempPrefix) {
			err = errors.Join(err, f.root.Remove(path.Join(private, entry.Name())))
		}
	}
	return err
}

func (f *Folder) readDir(name string) ([]os.DirEntry, error) {
	dir, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// String returns the folder's path.
func (f *Folder) String() string { return f.dir }

// Path returns the path of the file that an object is or would be.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Lock takes the folder for one render, until Close: a second Lock, by this
// process or another, returns ErrLocked. It is advisory: nothing else heeds
// it. A file system without locks grants it always.
func (f *Folder) Lock() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owner != nil {
		return fmt.Errorf("locking the folder %s: %w", f.dir, ErrLocked)
	}
	lock, err := f.root.OpenFile(path.Join(private, "render.lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err == nil {
		f.owner, err = takeLock(lock)
	}
	if err != nil {
		return fmt.Errorf("locking the folder %s: %w", f.dir, bare(err))
	}
	return nil
}

// takeLock takes a lock that nobody shares; ErrLocked where someone has it,
// and the file is closed. A file system without locks grants it always.
func takeLock(lock *os.File) (*os.File, error) {
	err := tryLock(lock)
	switch {
	case err == nil || errors.Is(err, errors.ErrUnsupported):
		return lock, nil
	case errors.Is(err, errHeld):
		err = ErrLocked
	}
	lock.Close()
	return nil, err
}

// Close gives up the folder and its locks. It may be called more than once.
func (f *Folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, lock := range []*os.File{f.owner, f.open} {
		if lock != nil {
			lock.Close()
		}
	}
	f.owner, f.open = nil, nil
	if f.root != nil {
		f.root.Close()
	}
	return nil
}

// Get implements [Store].
func (f *Folder) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ready(ctx, name); err != nil {
		return nil, err
	}
	data, err := f.read(name)
	if isAbsent(err) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Path(name), bare(err))
	}
	return data, nil
}

// read reads a file. It looks before it opens: a pipe that somebody laid there
// would keep it for ever.
func (f *Folder) read(name string) ([]byte, error) {
	info, err := f.root.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, ErrNotFound
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w (it is no file)", ErrDamaged)
	case info.Size() > mostBytes:
		return nil, tooLarge(info.Size())
	}
	return f.root.ReadFile(name)
}

// Put implements [Store].
func (f *Folder) Put(ctx context.Context, name string, data []byte) error {
	return f.put(ctx, name, data, f.root.Rename)
}

// PutIfAbsent implements [Store].
func (f *Folder) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := ready(ctx, name); err != nil {
		return err
	}
	if _, err := f.root.Lstat(name); err == nil { // spares the writing
		return fmt.Errorf("writing %s: %w", f.Path(name), ErrExists)
	}
	return f.put(ctx, name, data, f.linkNew)
}

// linkNew gives a file a name that must be free. Rename(2) would replace what
// has it, and creating it with O_EXCL would show half a file.
func (f *Folder) linkNew(temp, target string) error {
	err := f.root.Link(temp, target)
	switch {
	case err == nil:
		f.root.Remove(temp) // if it fails, the next Open sweeps it
	case errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w (it takes a file system with hard links)", bare(err))
	}
	return err
}

// put writes data to a temporary file and has place give it its name. It
// leaves no temporary file, whatever place did.
func (f *Folder) put(ctx context.Context, name string, data []byte, place func(temp, target string) error) (err error) {
	if err := mayPut(ctx, name, data); err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, fs.ErrExist) {
			err = ErrExists
		}
		if err != nil {
			err = fmt.Errorf("writing %s: %w", f.Path(name), bare(err))
		}
	}()
	dir := path.Dir(name)
	if err := f.mkdir(dir); err != nil {
		return err
	}
	temp := f.temp + strconv.FormatUint(f.count.Add(1), 10)
	if err := f.writeSynced(temp, data); err != nil {
		f.root.Remove(temp)
		return err
	}
	err = place(temp, name)
	if isAbsent(err) { // somebody removed a folder that was there before
		f.made.Clear()
		if err = f.mkdir(dir); err == nil {
			err = place(temp, name)
		}
	}
	if err != nil {
		f.root.Remove(temp)
		return err
	}
	return f.syncDir(dir)
}

func (f *Folder) writeSynced(name string, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	return cmp.Or(err, file.Close())
}

// mkdir makes a sub-folder and those above it, and flushes their names.
func (f *Folder) mkdir(dir string) error {
	if _, ok := f.made.Load(dir); ok || dir == "." {
		return nil
	}
	parent := path.Dir(dir)
	if err := f.mkdir(parent); err != nil {
		return err
	}
	if err := f.root.Mkdir(dir, 0o777); err != nil {
		info, statErr := f.root.Stat(dir)
		switch {
		case statErr == nil && info.IsDir():
		case statErr == nil:
			return fmt.Errorf("%s is no folder", f.Path(dir))
		case errors.Is(err, fs.ErrExist): // a link that leads out, or nowhere
			return statErr
		default:
			return err
		}
	}
	// Also where it was there: who made it may not have come to its flush.
	if err := f.syncDir(parent); err != nil {
		return err
	}
	f.made.Store(dir, nil)
	return nil
}

// syncDir flushes a folder's names to the disk.
func (f *Folder) syncDir(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return flush(dir)
}

// Delete implements [Store].
func (f *Folder) Delete(ctx context.Context, name string) error {
	if err := ready(ctx, name); err != nil {
		return err
	}
	err := f.root.Remove(name)
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		if info, statErr := f.root.Stat(name); statErr == nil && info.IsDir() {
			return nil
		}
	} else {
		err = f.syncDir(path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", f.Path(name), bare(err))
	}
	return nil
}

// List implements [Store]. It reads one sub-folder at a time. Files whose names
// are no object's are passed over.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		folder, rest, err := splitPrefix(prefix)
		if err == nil {
			err = f.list(ctx, folder, rest, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield("", err)
		}
	}
}

// errStop ends a list whose reader has had enough.
var errStop = errors.New("stop")

// list yields the names in and below a folder ("" is the store's own) whose
// first part in it begins with rest.
func (f *Folder) list(ctx context.Context, folder, rest string, yield func(string, error) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := f.readDir(cmp.Or(folder, "."))
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", f.Path(folder), bare(err))
	}
	// "a-b" comes before "a/b", so folders are sorted with their slash.
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		switch name := entry.Name(); {
		case !strings.HasPrefix(name, rest) || CheckName(path.Join(folder, name)) != nil:
		case entry.IsDir():
			names = append(names, name+"/")
		case entry.Type().IsRegular():
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			err = f.list(ctx, path.Join(folder, sub), "", yield)
		} else if err = ctx.Err(); err == nil && !yield(path.Join(folder, name), nil) {
			err = errStop
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isAbsent tells that a path, or a folder on its way, is not there.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// bare takes the path off an error of package os, which names a temporary
// file or says again what the caller says.
func bare(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}
