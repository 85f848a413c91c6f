package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/darkroom/darkroom/pipeline/job"
)

// digests hashes models and remembers the digests of files by path, size and
// time, in memory and on disk.
type digests struct {
	path string // the file that remembers; empty for none

	mu      sync.Mutex
	files   map[string]fileDigest
	builtin map[string]string
}

type fileDigest struct {
	Size   int64  `json:"size"`
	Time   int64  `json:"time"` // of the last change, nanoseconds since 1970
	SHA256 string `json:"sha256"`
}

func newDigests(cache string) *digests {
	d := &digests{files: map[string]fileDigest{}, builtin: map[string]string{}}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return d // no home: every process hashes anew
		}
		cache = filepath.Join(user, "darkroom")
	}
	d.path = filepath.Join(cache, "digests.json")
	if data, err := os.ReadFile(d.path); err == nil {
		// A damaged file is as good as none.
		_ = json.Unmarshal(data, &d.files)
	}
	return d
}

// parts are the folders of a model that shape its pictures; safety checkers
// and feature extractors don't. An upscaler alone has the second.
var parts = []string{
	"scheduler", "low_res_scheduler", "tokenizer", "tokenizer_2", "tokenizer_3", "text_encoder", "text_encoder_2", "text_encoder_3",
	"unet", "transformer", "vae_encoder", "vae_decoder",
}

// otherFormats are the endings of files that lie beside graphs and play no
// part: weights for other programs, and prose.
var otherFormats = []string{".safetensors", ".bin", ".msgpack", ".h5", ".ckpt", ".pt", ".pth", ".md"}

// model returns the digest of a model: of a single file its SHA-256, of a
// folder the SHA-256 of what `sha256sum` prints for the files that make it up, in
// the byte order of their names, as "<hex>  <name>" lines. Those of a pipeline are
// model_index.json and the files of its parts, those of a ControlNet or an
// upscaler all beside the graph. Hidden files and other formats are left out, and
// so is darkroom.json, whose defaults jobs take in.
func (d *digests) model(entry Entry) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if digest, ok := d.builtin[entry.Name]; ok && entry.Folder == "" {
		return digest, nil
	}
	names, err := entry.relevant()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	changed, whole := false, ""
	for _, name := range names {
		digest, fresh, err := d.file(entry, name)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", entry.file(name), reason(err))
		}
		changed = changed || fresh
		fmt.Fprintf(sum, "%s  %s\n", digest, name)
		whole = digest
	}
	if entry.File == "" {
		whole = hex.EncodeToString(sum.Sum(nil))
	}
	if entry.Folder == "" {
		d.builtin[entry.Name] = whole
	} else if changed {
		d.save()
	}
	return whole, nil
}

// relevant lists the files that make up a model.
func (e Entry) relevant() ([]string, error) {
	if e.File != "" {
		return []string{e.File}, nil
	}
	names, folders := []string{indexFile}, parts
	if e.kind != job.PipelineModel {
		names, folders = nil, []string{"."}
	}
	for _, part := range folders {
		entries, err := fs.ReadDir(e.Files, part)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue // not every model has every part
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", e.file(part), reason(err))
		}
		for _, entry := range entries {
			name := path.Join(part, entry.Name())
			if strings.HasPrefix(entry.Name(), ".") || name == defaultsFile || slices.Contains(otherFormats, path.Ext(name)) {
				continue
			}
			info, err := fs.Stat(e.Files, name) // follows links
			if err != nil {
				return nil, err
			}
			if info.Mode().IsRegular() {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// weigh returns the size of the model's files, bytes.
func (e Entry) weigh() (int64, error) {
	return e.weighSome(func(string) bool { return true })
}

// weighSome returns the size of those of the model's files that count, bytes.
func (e Entry) weighSome(counts func(name string) bool) (int64, error) {
	names, err := e.relevant()
	if err != nil {
		return 0, err
	}
	size := int64(0)
	for _, name := range names {
		if !counts(name) {
			continue
		}
		info, err := fs.Stat(e.Files, name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", e.file(name), reason(err))
		}
		size += info.Size()
	}
	return size, nil
}

// file returns a file's SHA-256, and whether it was not remembered.
func (d *digests) file(entry Entry, name string) (digest string, fresh bool, err error) {
	info, err := fs.Stat(entry.Files, name)
	if err != nil {
		return "", false, err
	}
	key := filepath.Join(entry.Folder, filepath.FromSlash(name))
	if known, ok := d.files[key]; ok && entry.Folder != "" && known.Size == info.Size() && known.Time == info.ModTime().UnixNano() {
		return known.SHA256, false, nil
	}
	file, err := entry.Files.Open(name)
	if err != nil {
		return "", false, err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", false, err
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if entry.Folder != "" {
		d.files[key] = fileDigest{info.Size(), info.ModTime().UnixNano(), digest}
	}
	return digest, true, nil
}

// save writes the file that remembers. That it can't be written costs time in
// the next process, and nothing else.
func (d *digests) save() {
	if d.path == "" {
		return
	}
	data, err := json.MarshalIndent(d.files, "", "\t")
	if err != nil {
		return
	}
	folder := filepath.Dir(d.path)
	if os.MkdirAll(folder, 0o755) != nil {
		return
	}
	temporary, err := os.CreateTemp(folder, "digests-*")
	if err != nil {
		return
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if closed := temporary.Close(); err == nil && closed == nil {
		os.Rename(temporary.Name(), d.path)
	}
}
