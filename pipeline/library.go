// Package pipeline renders one job: text becomes an embedding, noise becomes a
// latent under the sampler that the job names, and the latent a picture. It
// also keeps the model library. It runs graphs through a [Runtime], which is
// handed to it: nothing here needs a C compiler.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/spelling"
)

// ErrNoModel is the cause of errors about a model that isn't in the library,
// or not with the weights that are asked for.
var ErrNoModel = errors.New("no such model")

// Sources says where a library finds its models.
type Sources struct {
	Folders []string     // each holds models as sub-folders and files, or is a model itself; the first that has a name wins
	Builtin fs.FS        // such a folder that is compiled in; models of the same name in Folders win; nil for none
	Cache   string       // the folder that remembers digests; empty: darkroom's in the user's cache folder
	Log     *slog.Logger // told what of models and prompts is left out; nil for nobody
}

// Library finds models by name. It is safe for concurrent use, and needs no
// runtime: the weights are hashed, not loaded.
type Library struct {
	entries []Entry
	folders []string
	digests *digests
	unets   flights[string, []Port] // the inputs of pipelines' UNets, by digest
	log     *slog.Logger
}

// Entry is a model's name and its files.
type Entry struct {
	Name   string
	Folder string // empty where it is compiled in
	File   string // the one file of Files that it is; empty: it is all of them
	Files  fs.FS

	kind job.ModelKind // of a folder; what a file is, its content says
}

// Where tells a person where a model lies.
func (e Entry) Where() string {
	if e.Folder == "" {
		return "built in"
	}
	return filepath.Join(e.Folder, e.File)
}

// file names one of the model's files in an error.
func (e Entry) file(name string) string {
	switch {
	case e.Folder != "":
		return filepath.Join(e.Folder, filepath.FromSlash(name))
	case name == e.File:
		return "the built-in model " + e.Name
	}
	return "the built-in model " + e.Name + ": " + name
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
	if sources.Builtin != nil {
		if err := l.scanBuiltin(sources.Builtin); err != nil {
			return nil, fmt.Errorf("the built-in models: %w", err)
		}
	}
	slices.SortFunc(l.entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
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

// Model returns what jobs must know of a model of any kind. A ref is a name, or
// name@digest with the digest's first digits or all of them. A model is hashed
// when it is seen for the first time, and read anew whenever a file's size or
// time has changed.
func (l *Library) Model(ref string) (job.Model, error) {
	name, pin, pinned := strings.Cut(ref, "@")
	i := slices.IndexFunc(l.entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return job.Model{}, l.unknown(name)
	}
	entry := l.entries[i]
	m, err := entry.describe()
	if err == nil {
		m.Name = name
		m.Digest, err = l.digests.model(entry)
	}
	if err != nil {
		return job.Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	if m.Kind == job.PipelineModel {
		if pictures, ok := findPort(l.unetInputs(entry, m.Digest), picturesInput); ok && len(pictures.Dims) > 0 {
			m.Controls = max(int(pictures.Dims[0]), 1)
		}
	}
	if pinned && (pin == "" || !strings.HasPrefix(m.Digest, strings.ToLower(pin))) {
		return job.Model{}, fmt.Errorf("model %q: %w with the digest %s: %s has %s", name, ErrNoModel, pin, entry.file(entry.File), m.Digest)
	}
	return m, nil
}

// unetInputs returns what a pipeline's UNet declares as its inputs, or nothing
// where its graph can't be read, of which loading it will tell.
func (l *Library) unetInputs(entry Entry, digest string) []Port {
	ports, _ := l.unets.do(context.Background(), digest, func() ([]Port, error) {
		file, err := entry.Files.Open("unet/" + graphFile)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		at, ok := file.(io.ReaderAt)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		return onnx.Declared(at, info.Size())
	})
	return ports
}

// find returns the entry that ref names, which must be of the kind.
func (l *Library) find(ref string, kind job.ModelKind) (Entry, job.Model, error) {
	m, err := l.Model(ref)
	if err != nil {
		return Entry{}, m, err
	}
	if m.Kind != kind {
		return Entry{}, m, fmt.Errorf("model %q is %v, not %v", m.Name, m.Kind, kind)
	}
	i := slices.IndexFunc(l.entries, func(e Entry) bool { return e.Name == m.Name })
	return l.entries[i], m, nil
}

// pipeline returns the folder of the pipeline that ref names, described and
// checked.
func (l *Library) pipeline(ref string) (*folder, error) {
	entry, m, err := l.find(ref, job.PipelineModel)
	if err != nil {
		return nil, err
	}
	f, err := describe(entry)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", m.Name, err)
	}
	f.model = m
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
	if nearest := spelling.Nearest(name, names); nearest != "" {
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

// misfit tells what there is under a model's name that is no model.
func misfit(folder, name string) string {
	has := func(parts ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{folder}, parts...)...))
		return err == nil
	}
	switch base := strings.TrimSuffix(strings.TrimSuffix(name, ".ckpt"), ".pt"); {
	case has(base+".ckpt") || has(base+".pt"):
		return fmt.Sprintf("%s is a pickle, which may run any code when it is opened and is never read: convert it to safetensors, and a whole model then with optimum-cli export onnx", filepath.Join(folder, base+".ckpt or .pt"))
	case strings.HasSuffix(name, fileExt) && has(name):
		return fmt.Sprintf("want it without its extension, %q", strings.TrimSuffix(name, fileExt))
	case has(name):
		return filepath.Join(folder, name) + " has no " + indexFile + " and no model.onnx: it is no model in the diffusers layout"
	}
	return ""
}
