// Package pipeline renders one job: text becomes an embedding, noise becomes a
// latent under the sampler that the job names, and the latent a picture. It
// also keeps the model library. It runs graphs through a [Runtime], which is
// handed to it: nothing here needs a C compiler.
package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
)

// ErrNoModel is the cause of errors about a model that isn't in the library,
// or not with the weights that are asked for.
var ErrNoModel = errors.New("no such model")

// Sources says where a library finds its models.
type Sources struct {
	Folders []string         // each holds models as sub-folders, or is a model itself; the first that has a name wins
	Builtin map[string]fs.FS // models that are compiled in; folders of the same name win
	Cache   string           // the folder that remembers digests; empty: darkroom's in the user's cache folder
	Log     *slog.Logger     // told what of models and prompts is left out; nil for nobody
}

// Library finds models by name. It is safe for concurrent use, and needs no
// runtime: the weights are hashed, not loaded.
type Library struct {
	entries []Entry
	folders []string
	digests *digests
	log     *slog.Logger
}

// Entry is a model's name and its files.
type Entry struct {
	Name   string
	Folder string // empty where it is compiled in
	Files  fs.FS
}

// Where tells a person where a model lies.
func (e Entry) Where() string {
	if e.Folder == "" {
		return "built in"
	}
	return e.Folder
}

// file names one of the model's files in an error.
func (e Entry) file(name string) string {
	if e.Folder == "" {
		return "the built-in model " + e.Name + ": " + name
	}
	return filepath.Join(e.Folder, filepath.FromSlash(name))
}

// NewLibrary looks through the sources' folders. Folders that hold no model
// are passed over; one that can't be read is an error.
func NewLibrary(sources Sources) (*Library, error) {
	l := &Library{folders: sources.Folders, digests: newDigests(sources.Cache), log: sources.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	for _, folder := range sources.Folders {
		if err := l.scan(folder); err != nil {
			return nil, fmt.Errorf("the models folder: %w", err)
		}
	}
	for name, files := range sources.Builtin {
		l.add(Entry{Name: name, Files: files})
	}
	slices.SortFunc(l.entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
}

func (l *Library) scan(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	content, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if isPipeline(folder) {
		l.add(Entry{filepath.Base(folder), folder, os.DirFS(folder)})
		return nil
	}
	for _, entry := range content {
		path := filepath.Join(folder, entry.Name())
		if isPipeline(path) {
			l.add(Entry{entry.Name(), path, os.DirFS(path)})
		}
	}
	return nil
}

func isPipeline(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, indexFile))
	return err == nil && info.Mode().IsRegular()
}

func (l *Library) add(e Entry) {
	if strings.Contains(e.Name, "@") {
		l.log.Warn("a model can't be named in jobs: its name has an @", "folder", e.Where())
		return
	}
	if i := slices.IndexFunc(l.entries, func(other Entry) bool { return other.Name == e.Name }); i >= 0 {
		l.log.Warn("two models have one name: the first is used", "model", e.Name, "used", l.entries[i].Where(), "hidden", e.Where())
		return
	}
	l.entries = append(l.entries, e)
}

// Entries lists the library's models by name. Whether one is whole,
// [Library.Model] says.
func (l *Library) Entries() []Entry { return slices.Clone(l.entries) }

// Model returns what jobs must know of a model. A ref is a name, or
// name@digest with the digest's first digits or all of them. A model is hashed
// when it is seen for the first time, and read anew whenever a file's size or
// time has changed.
func (l *Library) Model(ref string) (job.Model, error) {
	f, err := l.find(ref)
	if err != nil {
		return job.Model{}, err
	}
	return f.model, nil
}

// find returns the folder that ref names, described and checked.
func (l *Library) find(ref string) (*folder, error) {
	name, pin, pinned := strings.Cut(ref, "@")
	i := slices.IndexFunc(l.entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return nil, l.unknown(name)
	}
	entry := l.entries[i]
	f, err := describe(entry)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", name, err)
	}
	if f.model.Digest, err = l.digests.model(entry); err != nil {
		return nil, fmt.Errorf("model %q: %w", name, err)
	}
	if pinned && (pin == "" || !strings.HasPrefix(f.model.Digest, strings.ToLower(pin))) {
		return nil, fmt.Errorf("model %q: %w with the digest %s: %s has %s", name, ErrNoModel, pin, entry.Where(), f.model.Digest)
	}
	return f, nil
}

// unknown says what is near a name and where it was looked for.
func (l *Library) unknown(name string) error {
	names := make([]string, len(l.entries))
	for i, e := range l.entries {
		names[i] = e.Name
	}
	hint := "there is " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "there is none"
	}
	if nearest := job.Nearest(name, names); nearest != "" {
		hint = fmt.Sprintf("did you mean %q?", nearest)
	}
	for _, folder := range l.folders {
		if other := misfit(folder, name); other != "" {
			hint = other
			break
		}
	}
	looked := "the built-in models"
	if len(l.folders) > 0 {
		looked = strings.Join(l.folders, ", ") + " and " + looked
	}
	return fmt.Errorf("model %q: %w in %s; %s", name, ErrNoModel, looked, hint)
}

// misfit tells what there is under a model's name that is no pipeline.
func misfit(folder, name string) string {
	has := func(parts ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{folder}, parts...)...))
		return err == nil
	}
	switch base := strings.TrimSuffix(strings.TrimSuffix(name, ".ckpt"), ".pt"); {
	case has(base+".ckpt") || has(base+".pt"):
		return fmt.Sprintf("%s is a pickle, which may run any code when it is opened and is never read: convert it to safetensors, then export it with optimum-cli export onnx", filepath.Join(folder, base+".ckpt or .pt"))
	case has(name+".safetensors") || strings.HasSuffix(name, ".safetensors") && has(name):
		return "a single .safetensors file is no pipeline: export the model with optimum-cli export onnx, which makes a folder"
	case has(name, "model.onnx"):
		return filepath.Join(folder, name) + " is a single graph, not a pipeline: it has no " + indexFile
	case has(name):
		return filepath.Join(folder, name) + " has no " + indexFile + ": it is no pipeline in the diffusers layout"
	}
	return ""
}
