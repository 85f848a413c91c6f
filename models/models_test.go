package models

import (
	"encoding/json"
	"io/fs"
	"testing"
)

// maxSize is what all models that are compiled in may weigh together.
const maxSize = 32 << 20

func TestHouseIsAWholePipeline(t *testing.T) {
	for _, name := range []string{
		"text_encoder/model.onnx", "unet/model.onnx", "vae_encoder/model.onnx", "vae_decoder/model.onnx",
		"tokenizer/vocab.json", "tokenizer/merges.txt",
	} {
		if info, err := fs.Stat(All(), "house/"+name); err != nil || info.Size() == 0 {
			t.Errorf("%s is missing or empty: %v", name, err)
		}
	}
}

func TestSizeOfAllModels(t *testing.T) {
	total := int64(0)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > maxSize {
		t.Errorf("the models weigh %d bytes, more than %d", total, maxSize)
	}
}

func TestHouseConfigsAgree(t *testing.T) {
	var darkroom struct{ Width, Height int }
	var unet struct {
		SampleSize        int `json:"sample_size"`
		InChannels        int `json:"in_channels"`
		CrossAttentionDim int `json:"cross_attention_dim"`
	}
	var vae struct {
		Widths         []int `json:"block_out_channels"`
		LatentChannels int   `json:"latent_channels"`
	}
	var text struct {
		HiddenSize int `json:"hidden_size"`
		Length     int `json:"max_position_embeddings"`
	}
	var tokenizer struct {
		Length int `json:"model_max_length"`
	}
	for name, into := range map[string]any{
		"darkroom.json": &darkroom, "unet/config.json": &unet, "vae_decoder/config.json": &vae,
		"text_encoder/config.json": &text, "tokenizer/tokenizer_config.json": &tokenizer,
	} {
		data, err := fs.ReadFile(All(), "house/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if side := unet.SampleSize << (len(vae.Widths) - 1); side != darkroom.Width || side != darkroom.Height {
		t.Errorf("the UNet draws %d px, darkroom.json says %dx%d", side, darkroom.Width, darkroom.Height)
	}
	if unet.InChannels != vae.LatentChannels {
		t.Errorf("the UNet takes %d channels, the VAE has %d", unet.InChannels, vae.LatentChannels)
	}
	if unet.CrossAttentionDim != text.HiddenSize || tokenizer.Length != text.Length {
		t.Errorf("text encoder: %d wide, %d tokens; UNet %d wide, tokenizer %d tokens",
			text.HiddenSize, text.Length, unet.CrossAttentionDim, tokenizer.Length)
	}
}

// TestAll holds what kinds of models there are, and that the whole of each
// pipeline shows although it shares parts with the base.
func TestAll(t *testing.T) {
	for _, name := range []string{
		"house/model_index.json", "house-edges/model.onnx", "house-edges/config.json", "house-upscale/model.onnx",
		"house-inpaint/model_index.json", "house-inpaint/unet/model.onnx", "house-inpaint/vae_decoder/model.onnx",
		"house-outline.safetensors", "house-sepia.safetensors", "house-gem.safetensors",
	} {
		if info, err := fs.Stat(All(), name); err != nil || info.Size() == 0 {
			t.Errorf("%s is missing or empty: %v", name, err)
		}
	}
}
