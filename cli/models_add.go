package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

type modelAddCommand struct {
	Path string `arg:"" placeholder:"PATH" help:"A model's folder, or a .safetensors file."`
	To   string `placeholder:"DIR" help:"The folder of models that it goes into; left out: the first of --models."`
	modelFlags
	runtimeFlags
	logFlags
}

// Run copies the model beside its place, checks the copy, and moves it there.
func (c modelAddCommand) Run(ctx context.Context, streams Streams) error {
	if c.To == "" && len(c.Models) > 0 {
		c.To = c.Models[0]
	}
	if c.To == "" {
		return usage(errors.New("no folder to add it to: give one with --to"))
	}
	source, err := filepath.Abs(c.Path)
	if err != nil {
		return usage(err)
	}
	if err := checkSource(source); err != nil {
		return usage(err)
	}
	target := filepath.Join(c.To, filepath.Base(source))
	if err := checkFree(c.To, target); err != nil {
		return usage(err)
	}
	stage, err := os.MkdirTemp(c.To, ".adding-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	copied := filepath.Join(stage, filepath.Base(source))
	if err := copyModel(ctx, source, copied, nil); err != nil {
		return err
	}
	d, tried, err := c.check(ctx, stage, streams)
	if err != nil {
		// The copy is gone when this is read: the source is what is to be mended.
		absolute, _ := filepath.Abs(stage)
		text := strings.NewReplacer(absolute, filepath.Dir(source), stage, filepath.Dir(source)).Replace(err.Error())
		if _, outside := errors.AsType[*outsideError](err); outside || ctx.Err() != nil {
			return errors.New(text)
		}
		return usage(errors.New(text))
	}
	if _, err := os.Lstat(target); err == nil {
		return usage(fmt.Errorf("%s is there already", target))
	}
	if err := os.Rename(copied, target); err != nil {
		return err
	}
	fmt.Fprintf(streams.Err, "%s is added; %s\n", d.Name, tried)
	return printDetails(streams.Out, d, target)
}

// outsideError is one that the model has no part in.
type outsideError struct{ error }

// check looks at the only model of a folder, and renders with it if it is a
// pipeline. tried says what was done.
func (c modelAddCommand) check(ctx context.Context, folder string, streams Streams) (d pipeline.Details, tried string, err error) {
	log := c.logger(streams.Err)
	// Its cache goes with the folder: nobody asks for these paths again.
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{folder}, Cache: filepath.Join(folder, ".cache"), Log: log})
	if err != nil {
		return d, "", err
	}
	if len(library.Entries()) != 1 {
		return d, "", errors.New("it can't be named in jobs: want a name without an @")
	}
	if d, err = library.Details(library.Entries()[0].Name); err != nil {
		return d, "", err
	}
	switch {
	case d.Kind != job.PipelineModel:
		return d, "its files were checked", nil
	case !canRender:
		return d, "only its files were checked: this darkroom is a static binary and can't render", nil
	}
	return d, "its files were checked, and one step was rendered", c.try(ctx, library, d, log)
}

// try renders one step of the smallest picture, or of the usual one where the
// UNet's graph was exported for one size.
func (c modelAddCommand) try(ctx context.Context, library *pipeline.Library, d pipeline.Details, log *slog.Logger) error {
	m, width, height := d.Model, d.Multiple, d.Multiple
	for _, graph := range d.Graphs {
		for _, port := range graph.Inputs {
			if graph.File == "unet/model.onnx" && port.Name == "sample" && len(port.Dims) == 4 && port.Dims[3] > 0 {
				width, height = m.Width, m.Height
			}
		}
	}
	line := fmt.Sprintf(`{"model": %q, "prompt": %q, "width": %d, "height": %d, "steps": 1`, m.Name, benchPrompt, width, height)
	switch {
	case m.Inpainting:
		line += `, "kind": "edit", "image": "white.png", "mask": "white.png", "strength": 1`
	case m.Scale > 0:
		line = fmt.Sprintf(`{"model": %q, "prompt": %q, "steps": 1, "kind": "upscale", "image": "white.png"`, m.Name, benchPrompt)
	}
	if m.Sampler == "" {
		line += `, "sampler": "euler"`
	}
	spec, faults := job.Decode([]byte(line + "}"))
	if err := faults.Err(); err != nil {
		return err
	}
	spec, faults = spec.Resolve(library.Model)
	if err := faults.Err(); err != nil {
		return err
	}
	c.Cache = "" // its graphs would be kept under a name that goes
	runtime, err := c.openRuntime(1, log)
	if err != nil {
		return &outsideError{err}
	}
	renderer := pipeline.New(runtime, library, Version)
	defer renderer.Close()
	white := func(context.Context, string) ([]byte, error) { return whitePicture(m.Multiple) }
	if _, err := renderer.Render(ctx, job.Order{Spec: spec, Input: white}, nil); err != nil {
		return fmt.Errorf("model %q: rendering one step: %w", m.Name, err)
	}
	return nil
}

// whitePicture is a square PNG, which serves as a mask too.
func whitePicture(size int) ([]byte, error) {
	picture := image.NewGray(image.Rect(0, 0, size, size))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	var file bytes.Buffer
	err := png.Encode(&file, picture)
	return file.Bytes(), err
}

// checkSource refuses what is no model before it is copied.
func checkSource(source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if filepath.Ext(source) != ".safetensors" || !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no model: want a folder or a .safetensors file", source)
		}
		return nil
	}
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{source}})
	if err != nil {
		return err
	}
	if entries := library.Entries(); len(entries) != 1 || entries[0].Folder != source || entries[0].File != "" {
		return fmt.Errorf("%s is no model in the diffusers layout: it has no model_index.json and no model.onnx", source)
	}
	return nil
}

// checkFree refuses a target whose place or name is taken.
func checkFree(folder, target string) error {
	library, err := pipeline.NewLibrary(pipeline.Sources{Folders: []string{folder}, Builtin: models.All()})
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(target), ".safetensors")
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	for _, e := range library.Entries() {
		if e.Folder == absolute && e.File == "" {
			return fmt.Errorf("%s is a model itself: want the folder that it is in", folder)
		}
		if e.Name == name {
			return fmt.Errorf("there is a model %q already: %s", name, e.Where())
		}
	}
	if _, err := os.Lstat(target); err == nil {
		return fmt.Errorf("%s is there already", target)
	}
	return nil
}

// copyModel copies a file or a folder with all in it but hidden files. Links
// are followed. above are the folders that it lies in.
func copyModel(ctx context.Context, from, to string, above []os.FileInfo) error {
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case info.Mode().IsRegular():
		return copyFile(ctx, from, to)
	case !info.IsDir():
		return usage(fmt.Errorf("%s is no file and no folder", from))
	case slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, info) }):
		return usage(fmt.Errorf("%s is a link to a folder that it lies in", from))
	}
	entries, err := os.ReadDir(from)
	if err == nil {
		err = os.Mkdir(to, 0o755)
	}
	if err != nil {
		return err
	}
	above = append(slices.Clip(above), info)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if err := copyModel(ctx, filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name()), above); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, readerUntil{ctx, in})
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// readerUntil reads until its context ends.
type readerUntil struct {
	ctx context.Context
	io.Reader
}

func (r readerUntil) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
