package onnx

import (
	"os"
	"testing"
)

// TestFeatures holds what is told of how much memory pictures take. The networks'
// weights lie behind casts.
func TestFeatures(t *testing.T) {
	for path, want := range map[string]int64{
		"../../models/house-upscale/model.onnx": 48, // the last one's, of 4x4 pixels of 3 channels
	} {
		m := parseFile(t, path)
		if got := m.Features(m.Inputs()[0].Name, 4); got != want {
			t.Errorf("%s has %d numbers for each pixel, want %d", path, got, want)
		}
	}
	m := parseFile(t, "../testdata/sd/vae_decoder/model.onnx")
	if got := m.Features(m.Inputs()[0].Name, 8); got != 8*64 {
		t.Errorf("a decoder of 8 channels has %d numbers for each value of a latent, want %d", got, 8*64)
	}
}

func TestMagnification(t *testing.T) {
	for path, want := range map[string]float64{
		"../../models/house-upscale/model.onnx":     4,
		"../../models/house/vae_decoder/model.onnx": 0, // its norms reshape the picture
	} {
		m := parseFile(t, path)
		if got := m.Magnification(m.Inputs()[0].Name, m.Outputs()[0].Name); got != want {
			t.Errorf("%s makes a picture %v times as high, want %v", path, got, want)
		}
	}
}

func parseFile(t *testing.T, path string) *Model {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, data)
}
