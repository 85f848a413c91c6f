package job

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Input is a picture that a job starts from.
type Input struct {
	Name          string // in the store, inputs/<sha256>.<ext>
	Width, Height int    // pixels
}

// InputName is the name in the store of a picture whose content has a SHA-256
// of these hex digits.
func InputName(digest, ext string) string { return "inputs/" + digest + "." + ext }

// IsInputName tells whether a name is one that [InputName] makes.
func IsInputName(name string) bool {
	folder, base, _ := strings.Cut(name, "/")
	digest, ext, ok := strings.Cut(base, ".")
	return folder == "inputs" && ok && len(digest) == 64 && strings.Trim(digest, "0123456789abcdef") == "" &&
		ext != "" && strings.Trim(ext, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// digestOf is the digest in an input's name.
func digestOf(name string) string { return strings.TrimSuffix(path.Base(name), path.Ext(name)) }

// Locate puts the names that the job's pictures have in the store in the place
// of their paths beside the batch file. find looks one up, and says in a few
// words what is wrong with it. It comes before [Spec.Resolve], which takes a
// picture's size for the job's.
func (s Spec) Locate(find func(path string) (Input, error)) (Spec, Faults) {
	var faults Faults
	locate := func(field string, name *string) (found Input) {
		if *name == "" {
			return found
		}
		found, err := find(*name)
		if err != nil {
			faults = append(faults, Fault{Field: field, What: fmt.Sprintf("%s: %v", *name, err)})
		}
		*name = found.Name
		return found
	}
	s.source = locate("image", &s.Image)
	mask := locate("mask", &s.Mask)
	s.Control = slices.Clone(s.Control)
	for i := range s.Control {
		locate(fmt.Sprintf("control[%d].image", i), &s.Control[i].Image)
	}
	if s.Image != "" && s.Mask != "" && (mask.Width != s.source.Width || mask.Height != s.source.Height) {
		faults = append(faults, Fault{
			Field: "mask", What: fmt.Sprintf("its %dx%d pixels are not those of the image", mask.Width, mask.Height),
			Want: fmt.Sprintf("want %dx%d", s.source.Width, s.source.Height),
		})
	}
	return s, faults
}
