package pipeline_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/models"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

// TestBuiltinKinds holds what is said of the models that are compiled in.
func TestBuiltinKinds(t *testing.T) {
	library, err := pipeline.NewLibrary(pipeline.Sources{Builtin: models.All(), Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) job.Model {
		m, err := library.Model(name)
		if err != nil {
			t.Error(err)
		}
		return m
	}
	if m := find("house"); m.Kind != job.PipelineModel || m.TextWidth != 128 || !slices.Equal(m.EncoderWidths, []int{128}) || m.Channels != 8 || m.XL {
		t.Errorf("%+v", m)
	}
	if m := find("house-upscale"); m.Kind != job.UpscalerModel || m.Scale != 4 {
		t.Errorf("%+v", m)
	}
	if m := find("house-sepia"); m.Kind != job.LoRAModel || m.TextWidth != 128 || m.EncoderWidths != nil || !slices.Equal(m.Parts, []string{"unet"}) {
		t.Errorf("%+v", m)
	}
	if m := find("house-outline"); m.Kind != job.LoRAModel || m.TextWidth != 128 || !slices.Equal(m.EncoderWidths, []int{128}) || !slices.Equal(m.Parts, []string{"text_encoder", "unet"}) {
		t.Errorf("%+v", m)
	}
	if m := find("house-gem"); m.Kind != job.EmbeddingModel || m.Token != "<gem>" || m.Vectors != 2 || !slices.Equal(m.EncoderWidths, []int{128}) {
		t.Errorf("%+v", m)
	}
}

// A single file's digest is its SHA-256.
func TestDigestOfAFile(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "word.safetensors"), tensors(`{"emb_params":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	m, err := openLibrary(t, folder).Model("word")
	if err != nil {
		t.Fatal(err)
	}
	data := mustRead(t, filepath.Join(folder, "word.safetensors"))
	if want := fmt.Sprintf("%x", sha256.Sum256(data)); m.Digest != want || m.Token != "word" {
		t.Errorf("%+v, want the digest %s", m, want)
	}
}

// TestDigestOfAnUpscaler holds that how its small picture is made noisy counts.
func TestDigestOfAnUpscaler(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tiny")
	layModel(t, folder, "x4")
	before := digest(t, openLibrary(t, folder))
	path := filepath.Join(folder, "low_res_scheduler", "scheduler_config.json")
	config := strings.Replace(string(mustRead(t, path)), `"beta_end": 0.02`, `"beta_end": 0.03`, 1)
	if write(t, path, config); !strings.Contains(config, "0.03") || digest(t, openLibrary(t, folder)) == before {
		t.Error("two upscalers of different noise have one digest")
	}
}

func TestControlNetsAreKnown(t *testing.T) {
	folder := t.TempDir()
	graph := mustRead(t, "../models/house-upscale/model.onnx")
	write(t, filepath.Join(folder, "edges", "model.onnx"), string(graph))
	write(t, filepath.Join(folder, "edges", "config.json"), `{"_class_name": "ControlNetModel", "in_channels": 4, "cross_attention_dim": 2048, "addition_embed_type": "text_time"}`)
	m, err := openLibrary(t, folder).Model("edges")
	if err != nil || m.Kind != job.ControlNetModel || m.TextWidth != 2048 || m.Channels != 4 || !m.XL {
		t.Errorf("%+v %v", m, err)
	}
	before := m.Digest
	write(t, filepath.Join(folder, "edges", "README.md"), "prose")
	if m, _ = openLibrary(t, folder).Model("edges"); m.Digest != before {
		t.Error("prose changes the digest")
	}
	write(t, filepath.Join(folder, "edges", "config.json"), `{"_class_name": "ControlNetModel"}`)
	_, err = openLibrary(t, folder).Model("edges")
	expect(t, err, `model "edges"`, "config.json", "cross_attention_dim")
}

func TestBadFiles(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"cut.safetensors":        tensors(`{"emb_params":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 7),
		"liar.safetensors":       tensors(`{"emb_params":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4),
		"empty.safetensors":      "",
		"checkpoint.safetensors": tensors(`{"model.a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"model.b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"half.safetensors":       tensors(`{"lora_unet_conv_in.lora_up.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}`, 4),
		"encoder/model.onnx":     string(mustRead(t, "testdata/sd/unet/model.onnx")),
		"nothing/model.onnx":     "",
		"other/model.onnx":       string(mustRead(t, "testdata/sd/vae_decoder/model.onnx")),
		"unsaid/model.onnx":      string(mustRead(t, "../models/house-upscale/model.onnx")),
		"unsaid/darkroom.json":   `{"scale": "large"}`,
	} {
		write(t, filepath.Join(folder, name), content)
	}
	library := openLibrary(t, folder)
	for name, want := range map[string]string{
		"cut": "cut off", "liar": "takes 8 bytes", "empty": "0 bytes", "checkpoint": "neither a LoRA nor an embedding",
		"half": "no counterpart", "encoder": "no upscaler", "nothing": "no graph", "other": "no upscaler", "unsaid": "darkroom.json",
	} {
		_, err := library.Model(name)
		expect(t, err, name, want, folder)
	}
}

// tensors is a safetensors file with so many bytes behind its header.
func tensors(header string, bytes int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + string(make([]byte, bytes))
}

// One name is one model, whatever its kind: the first is used.
func TestOneNameAcrossKinds(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	layModel(t, filepath.Join(first, "gem"), "sd")
	write(t, filepath.Join(second, "gem.safetensors"), tensors(`{"<gem>":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	library := openLibrary(t, first, second)
	if m, err := library.Model("gem"); err != nil || m.Kind != job.PipelineModel || len(library.Entries()) != 1 {
		t.Errorf("%+v %v", m, err)
	}
}
