package pipeline

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// weightsSize adds up the files in which a graph's weights lie, and refuses
// those that are not the model's own: a graph says itself where they are, and
// ONNX Runtime would follow it out of the folder, to any file of the machine.
// They lie beside the graph, where the model's digest counts them, and no link
// leads out of there. (Newer versions of ONNX Runtime refuse these as well.)
func (f *folder) weightsSize(graph string, locations []string) (size int64, err error) {
	var own []string
	if len(locations) > 0 {
		if own, err = f.relevant(); err != nil {
			return 0, fmt.Errorf("%s: %w", f.file(graph), reason(err))
		}
	}
	for _, location := range locations {
		if location == "" || strings.ContainsAny(location, `/\`) || location == ".." {
			return 0, fmt.Errorf("%s: its weights are in %q, want a file beside it", f.file(graph), location)
		}
		name := path.Join(path.Dir(graph), location)
		info, err := fs.Stat(f.Files, name)
		if err != nil {
			return 0, fmt.Errorf("%s: its weights are in %s, which is missing", f.file(graph), location)
		}
		if !slices.Contains(own, name) {
			return 0, fmt.Errorf("%s: its weights are in %s, which is none of the files that make up a model; want another name, such as %s_data", f.file(graph), location, path.Base(graph))
		}
		if f.Folder != "" {
			if err := f.checkLink(graph, name); err != nil {
				return 0, err
			}
		}
		size += info.Size()
	}
	return size, nil
}

// checkLink follows a link.
func (f *folder) checkLink(graph, name string) error {
	var places [2]string // of the folder and the weights
	for i, at := range []string{path.Dir(graph), name} {
		place, err := filepath.EvalSymlinks(filepath.Join(f.Folder, filepath.FromSlash(at)))
		if err != nil {
			return fmt.Errorf("%s: %w", f.file(at), reason(err))
		}
		places[i] = place
	}
	if filepath.Dir(places[1]) != places[0] {
		return fmt.Errorf("%s: its weights are in %s, a link to %s: want a file beside it, as \"cp -rL\" makes of links", f.file(graph), path.Base(name), places[1])
	}
	return nil
}
