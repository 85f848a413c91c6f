package imaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"

	"github.com/darkroom/darkroom/pipeline/job"
)

// A description is what made a picture, as JSON: a PNG has it under a keyword, a
// JPEG as the last of its comments.
const (
	descriptionKey   = "darkroom"
	descriptionStart = `{"job":`
)

// describe writes a picture's description.
func describe(about About) (string, error) {
	data, err := json.Marshal(struct {
		Job      json.RawMessage `json:"job"`
		Model    string          `json:"model"`
		MadeWith job.MadeWith    `json:"made_with"`
	}{about.Job.Canonical(), about.Model, about.MadeWith})
	if err != nil {
		return "", fmt.Errorf("describing the picture: %w", err)
	}
	return string(data), nil
}

// Inspect reads what a file of [PNG], [JPEG] or [NPY] says of itself: its size in
// pixels, and what made it. What it doesn't say is left zero.
func Inspect(data []byte) (width, height int, madeWith *job.MadeWith) {
	if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		width, height = config.Width, config.Height
	}
	var said struct {
		MadeWith *job.MadeWith `json:"made_with"`
	}
	if description, ok := findText(data, descriptionKey); ok {
		if json.Unmarshal(description, &said) != nil {
			return width, height, nil
		}
		return width, height, said.MadeWith
	}
	// The infotext before it is anything, and as long as it likes.
	list := comments(data)
	for i, comment := range list {
		if bytes.HasPrefix(comment, []byte(descriptionStart)) && json.Unmarshal(bytes.Join(list[i:], nil), &said) == nil {
			return width, height, said.MadeWith
		}
	}
	return width, height, nil
}

// Whole tells whether a file has the beginning and the end of its format, by the
// extension: png, jpg or npy, which has no end of its own.
func Whole(data []byte, ext string) bool {
	ends := map[string][2]string{
		"png": {signature, "IEND\xaeB`\x82"},
		"jpg": {"\xff\xd8", "\xff\xd9"},
		"npy": {"\x93NUMPY", ""},
	}[ext]
	return bytes.HasPrefix(data, []byte(ends[0])) && bytes.HasSuffix(data, []byte(ends[1]))
}
