package pipeline

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"

	"github.com/darkroom/darkroom/pipeline/job"
)

// model is a loaded model.
type model struct {
	*folder
	text *textEncoder
	unet *unet
	vae  *decoder
}

// loadModel loads a model's graphs, all at a time.
func loadModel(l *lanes, f *folder, log *slog.Logger) (*model, error) {
	m := &model{folder: f}
	var errs [3]error
	var wait sync.WaitGroup
	wait.Go(func() { m.unet, errs[0] = loadUNet(l, f) })
	wait.Go(func() { m.text, errs[1] = loadTextEncoder(l, f, log) })
	wait.Go(func() { m.vae, errs[2] = loadDecoder(l, f) })
	wait.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		m.close()
		return nil, blame(err)
	}
	return m, nil
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

func (m *model) close() {
	if m.unet != nil {
		m.unet.close()
	}
	if m.text != nil {
		m.text.graphs.all(func(g *loadedGraph) { g.Close() })
	}
	if m.vae != nil {
		m.vae.graph.Close()
	}
}
