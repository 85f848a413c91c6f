package models

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestOverlay(t *testing.T) {
	tree := fstest.MapFS{
		"base/index":      {Data: []byte("base")},
		"base/unet/graph": {Data: []byte("base's")},
		"base/text/graph": {Data: []byte("shared")},
		"other/index":     {Data: []byte("other")},
		"other/unet/mask": {Data: []byte("mask")},
		"style":           {Data: []byte("style")},
	}
	both := overlay{tree, renamed{tree, "base", "other"}}
	for name, want := range map[string]string{
		"base/index": "base", "other/index": "other", "other/text/graph": "shared", "other/unet/mask": "mask",
		"other/unet/graph": "base's", "style": "style",
	} {
		if data, err := fs.ReadFile(both, name); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", name, data, err, want)
		}
	}
	if _, err := fs.Stat(both, "base/unet/mask"); err == nil {
		t.Error("base/unet has a file of the folder over it")
	}
	if err := fstest.TestFS(both, "base/unet/graph", "other/unet/graph", "other/text/graph", "style"); err != nil {
		t.Error(err)
	}
}
