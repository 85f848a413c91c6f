package producer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// inputs are the pictures that a batch's lines name: files in the batch file's
// folder, out of which nothing leads, neither .. nor a link.
type inputs struct {
	root *os.Root
	list *os.File // of the pictures found, a name in the store and a path a line; some may be there twice

	mu    sync.Mutex
	known map[string]func() (job.Input, error) // by path
	size  int64                                // of the list
}

// knownAtMost bounds the memory of batches with a picture each line: what was
// forgotten is read once more.
const knownAtMost = 10_000

func openInputs(folder, temp string) (*inputs, error) {
	in := &inputs{known: map[string]func() (job.Input, error){}}
	var err error
	if folder != "" {
		if in.root, err = os.OpenRoot(folder); err != nil {
			return nil, fmt.Errorf("the batch file's folder: %w", err)
		}
	}
	if in.list, err = nameless(temp); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping the names of pictures for now: %w", err), in.close())
	}
	return in, nil
}

func (in *inputs) close() (err error) {
	if in.root != nil {
		err = in.root.Close()
	}
	if in.list != nil {
		err = errors.Join(err, in.list.Close())
	}
	return err
}

// find returns the picture at a path. The errors say in a few words what is
// wrong with it.
func (in *inputs) find(path string) (job.Input, error) {
	in.mu.Lock()
	ask, ok := in.known[path]
	if !ok {
		if len(in.known) == knownAtMost {
			clear(in.known)
		}
		ask = sync.OnceValues(func() (job.Input, error) { return in.check(path) })
		in.known[path] = ask
	}
	in.mu.Unlock()
	return ask()
}

// check reads and decodes a picture: a damaged one is found before anything is
// begun.
func (in *inputs) check(path string) (job.Input, error) {
	data, err := in.read(path)
	if err != nil {
		return job.Input{}, err
	}
	file, err := imaging.Open(data)
	if err != nil {
		return job.Input{}, err
	}
	if err := file.Check(); err != nil {
		return job.Input{}, err
	}
	sum := sha256.Sum256(data)
	found := job.Input{Name: job.InputName(hex.EncodeToString(sum[:]), file.Ext), Width: file.Width, Height: file.Height}
	in.mu.Lock()
	defer in.mu.Unlock()
	n, err := fmt.Fprintf(in.list, "%s %s\n", found.Name, path)
	in.size += int64(n)
	return found, err
}

func (in *inputs) read(path string) ([]byte, error) {
	if in.root == nil {
		return nil, errors.New("there is no folder to look for it in")
	}
	info, err := in.root.Stat(path)
	if err != nil {
		return nil, in.reason(err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case info.Size() > imaging.MaxBytes:
		return nil, fmt.Errorf("a file of %d MiB, want at most %d", info.Size()>>20, imaging.MaxBytes>>20)
	}
	file, err := in.root.Open(path)
	if err != nil {
		return nil, in.reason(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, imaging.MaxBytes+1))
	if err != nil {
		return nil, in.reason(err)
	}
	return data, nil
}

// reason drops the path from a file's error, which the line has named already.
func (in *inputs) reason(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no such file in %s", in.root.Name())
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		if path.Err.Error() == "path escapes from parent" {
			return fmt.Errorf("it leads out of %s", in.root.Name())
		}
		return path.Err
	}
	return err
}

// put brings the pictures into the store. One that has changed since it was
// checked is an error.
func (in *inputs) put(ctx context.Context, store storage.Store) error {
	lines := bufio.NewReader(io.NewSectionReader(in.list, 0, in.size))
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the names of pictures back: %w", err)
		}
		name, path, _ := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
		data, err := in.read(string(path))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if sum := sha256.Sum256(data); !bytes.Contains(name, []byte(hex.EncodeToString(sum[:]))) {
			return fmt.Errorf("%s: it has changed since it was checked: run again", path)
		}
		if err := store.PutIfAbsent(ctx, string(name), data); err != nil && !errors.Is(err, storage.ErrExists) {
			return fmt.Errorf("putting a picture: %w", err)
		}
	}
}
