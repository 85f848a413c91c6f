package models

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// overlay shows the files of both; where they share a name, the upper one's.
// So a pipeline that differs from another in one part only holds that part.
type overlay struct{ upper, lower fs.FS }

// Open opens a file of either. A folder that both have lists the files of both.
func (o overlay) Open(name string) (fs.File, error) {
	file, err := o.upper.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.lower.Open(name)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || !info.IsDir() {
		return file, err
	}
	if _, err := fs.Stat(o.lower, name); err != nil {
		return file, nil
	}
	file.Close()
	entries, err := o.ReadDir(name)
	if err != nil {
		return nil, err
	}
	return &folder{info: info, entries: entries}, nil
}

// ReadDir lists a folder by name.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.upper, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	below, errBelow := fs.ReadDir(o.lower, name)
	if err != nil && errBelow != nil {
		return nil, err
	}
	byName := func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }
	for _, entry := range below {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == entry.Name() }) {
			entries = append(entries, entry)
		}
	}
	slices.SortFunc(entries, byName)
	return entries, nil
}

// renamed shows one folder of files under another name, and nothing else.
type renamed struct {
	files    fs.FS
	from, to string
}

func (r renamed) Open(name string) (fs.File, error) {
	if rest, ok := strings.CutPrefix(name, r.to+"/"); ok {
		return r.files.Open(r.from + "/" + rest)
	}
	if name == r.to {
		return r.files.Open(r.from)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// folder is an open folder of an overlay.
type folder struct {
	info    fs.FileInfo
	entries []fs.DirEntry // that are still to be read
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Close() error               { return nil }

func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.Name(), Err: errors.New("is a folder")}
}

// ReadDir is as [fs.ReadDirFile] says.
func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.entries) {
		n = len(f.entries)
	}
	entries := f.entries[:n:n]
	f.entries = f.entries[n:]
	return entries, nil
}
