package pipeline

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
)

// model is a loaded pipeline. Its parts lie on the shelf by themselves: pipelines
// that differ in what they have learned beside share those that are the same.
type model struct {
	*folder
	text *texts
	unet *unet
	vae  *autoencoder
}

// modelParts is how many wanted items a pipeline is.
const modelParts = 3

// newModel puts a pipeline together from its parts, as [Renderer.pipeline] wants them.
func newModel(parts []loaded) *model {
	m := &model{text: parts[0].(*texts), unet: parts[1].(*unet), vae: parts[2].(*autoencoder)}
	m.folder = m.unet.folder
	return m
}

// pipeline is the pipeline of a resolved job for the shelf: the parts that its
// LoRAs and embeddings change, and the model's own others.
func (r *Renderer) pipeline(spec job.Spec) ([]wanted, error) {
	taught, err := r.lessons(spec)
	if err != nil {
		return nil, blame(err)
	}
	text, unet := taught.of(textPart), taught.of(unetPart)
	return []wanted{
		r.part(spec.Model, textPart, text, func(f *folder) (loaded, error) { return loadTexts(r.lanes, f, r.library.log) }),
		r.part(spec.Model, unetPart, unet, func(f *folder) (loaded, error) { return loadUNet(r.lanes, f) }),
		r.part(spec.Model, vaePart, nil, func(f *folder) (loaded, error) { return loadAutoencoder(r.lanes, f) }),
	}, nil
}

// part is a part of a pipeline: the folders whose names begin so.
type part string

const (
	textPart part = "text"
	unetPart part = "unet"
	vaePart  part = "vae"
)

// holds tells whether a file of the model belongs to the part.
func (p part) holds(file string) bool {
	folder, _, _ := strings.Cut(file, "/")
	return strings.HasPrefix(folder, string(p)) || p == textPart && strings.HasPrefix(folder, "tokenizer")
}

// part is one of a pipeline's parts for the shelf, with what it has learned.
func (r *Renderer) part(ref string, p part, taught *lessons, load func(*folder) (loaded, error)) wanted {
	_, digest := job.Pinned(ref)
	return wanted{digest + "/" + string(p) + taught.key(), func() (found, error) {
		f, err := r.library.pipeline(ref)
		size := int64(0)
		if err == nil {
			size, err = f.weighSome(p.holds)
		}
		if err != nil {
			return found{}, blame(err)
		}
		return found{f.Name + "/" + string(p) + taught.names(), size, func() (loaded, error) {
			if p == unetPart && len(f.unused) > 0 {
				r.library.log.Info("parts of the model are not used", "model", f.Name, "parts", strings.Join(f.unused, ", "))
			}
			begin := time.Now()
			if taught != nil {
				f.taught = taught.from(r.library)
			}
			one, err := load(f)
			if err != nil {
				return nil, blame(err)
			}
			r.library.log.Info("a part of a model is loaded", "model", f.Name, "part", p, "with", taught.names(), "seconds", time.Since(begin).Seconds())
			return one, nil
		}}, nil
	}}
}

// network is a model of one graph for the shelf: that of a resolved reference,
// name@digest.
func (r *Renderer) network(ref string, kind job.ModelKind, load func(Entry, job.Model) (loaded, error)) wanted {
	_, digest := job.Pinned(ref)
	return wanted{digest, func() (found, error) {
		entry, m, err := r.library.find(ref, kind)
		size := int64(0)
		if err == nil {
			size, err = entry.weigh()
		}
		if err != nil {
			return found{}, blame(err)
		}
		return found{m.Name, size, func() (loaded, error) {
			one, err := load(entry, m)
			if err != nil {
				return nil, blame(err)
			}
			return one, nil
		}}, nil
	}}
}

// blame marks what is wrong with a model's files as the job's own failure. A
// lack of memory, a disk that can't be read, and weights that only this library
// lacks may be better at another time or place.
func blame(err error) error {
	var outside syscall.Errno
	if errors.Is(err, ErrOutOfMemory) || errors.Is(err, ErrNoModel) || errors.As(err, &outside) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return job.Bad(err)
}
