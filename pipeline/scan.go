package pipeline

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
)

const (
	graphFile = "model.onnx"   // the one of a ControlNet or an upscaler
	fileExt   = ".safetensors" // of LoRAs and embeddings
)

// scan adds the models that a folder holds, or the one that it is.
func (l *Library) scan(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	content, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if kind, ok := kindOf(os.DirFS(folder)); ok {
		l.add(Entry{Name: filepath.Base(folder), Folder: folder, Files: os.DirFS(folder), kind: kind})
		return nil
	}
	for _, entry := range content {
		path := filepath.Join(folder, entry.Name())
		if name, ok := strings.CutSuffix(entry.Name(), fileExt); ok && name != "" && isFile(os.DirFS(folder), entry.Name()) {
			l.add(Entry{Name: name, Folder: folder, File: entry.Name(), Files: os.DirFS(folder)})
		} else if kind, ok := kindOf(os.DirFS(path)); ok {
			l.add(Entry{Name: entry.Name(), Folder: path, Files: os.DirFS(path), kind: kind})
		}
	}
	return nil
}

// scanBuiltin adds the models that are compiled in. One that is not whole is not
// there.
func (l *Library) scanBuiltin(files fs.FS) error {
	content, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	for _, entry := range content {
		one := Entry{Name: entry.Name()}
		if name, ok := strings.CutSuffix(entry.Name(), fileExt); ok {
			one.Name, one.File, one.Files = name, entry.Name(), files
		} else if one.Files, err = fs.Sub(files, entry.Name()); err != nil {
			return err
		} else if one.kind, ok = kindOf(one.Files); !ok || one.kind == job.PipelineModel && !isFile(one.Files, "unet/"+graphFile) {
			continue
		}
		l.add(one)
	}
	return nil
}

// kindOf tells what kind of model a folder is, if any.
func kindOf(folder fs.FS) (kind job.ModelKind, ok bool) {
	if isFile(folder, indexFile) {
		return job.PipelineModel, true
	}
	if !isFile(folder, graphFile) {
		return "", false
	}
	var config struct {
		Class string `json:"_class_name"`
	}
	if data, err := fs.ReadFile(folder, configFile); err == nil && json.Unmarshal(data, &config) == nil && config.Class == "ControlNetModel" {
		return job.ControlNetModel, true
	}
	return job.UpscalerModel, true
}

func isFile(files fs.FS, name string) bool {
	info, err := fs.Stat(files, name)
	return err == nil && info.Mode().IsRegular()
}
