package pipeline

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/embedding"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/lora"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/safetensors"
)

const configFile = "config.json"

// describe returns what jobs must know of a model, but for its digest.
func (e Entry) describe() (job.Model, error) {
	switch {
	case e.File != "":
		return e.describeFile()
	case e.kind == job.ControlNetModel:
		return e.describeControlNet()
	case e.kind == job.UpscalerModel:
		return e.describeUpscaler()
	}
	f, err := describe(e)
	if err != nil {
		return job.Model{}, err
	}
	return f.model, nil
}

// describeControlNet reads the configuration of a ControlNetModel.
func (e Entry) describeControlNet() (job.Model, error) {
	var config struct {
		InChannels        int    `json:"in_channels"`
		CrossAttention    any    `json:"cross_attention_dim"` // a number, or one for each block
		AdditionEmbedding string `json:"addition_embed_type"`
	}
	if err := e.read(configFile, &config); err != nil {
		return job.Model{}, err
	}
	width, _ := config.CrossAttention.(float64)
	if list, ok := config.CrossAttention.([]any); ok && len(list) > 0 {
		width, _ = list[0].(float64)
	}
	if width < 1 || config.InChannels < 1 {
		return job.Model{}, fmt.Errorf("%s: no cross_attention_dim or no in_channels: it is no ControlNetModel", e.file(configFile))
	}
	if width > mostWidth || config.InChannels > mostWidth {
		return job.Model{}, fmt.Errorf("%s: cross_attention_dim is %g and in_channels %d, want at most %d", e.file(configFile), width, config.InChannels, mostWidth)
	}
	return job.Model{Kind: job.ControlNetModel, TextWidth: int(width), Channels: config.InChannels, XL: config.AdditionEmbedding == "text_time"}, nil
}

// describeUpscaler looks at a graph by itself.
func (e Entry) describeUpscaler() (job.Model, error) {
	var preset struct {
		Scale float64 `json:"scale"`
	}
	if err := e.read(defaultsFile, &preset); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return job.Model{}, err
	}
	data, err := fs.ReadFile(e.Files, graphFile)
	if err != nil {
		return job.Model{}, fmt.Errorf("%s: %w", e.file(graphFile), reason(err))
	}
	graph, err := onnx.Parse(data)
	if err != nil {
		return job.Model{}, fmt.Errorf("%s: %w", e.file(graphFile), err)
	}
	input, output, err := picturePorts(graph)
	if err != nil {
		return job.Model{}, fmt.Errorf("%s: it is no upscaler, which makes one picture of one: %w", e.file(graphFile), err)
	}
	scale := cmp.Or(preset.Scale, graph.Magnification(input.Name, output.Name))
	if scale != math.Trunc(scale) || scale < 0 || scale > job.MaxScale {
		return job.Model{}, fmt.Errorf("%s: its pictures become %v times as wide, want a whole number up to %d", e.file(graphFile), scale, job.MaxScale)
	}
	return job.Model{Kind: job.UpscalerModel, Scale: scale}, nil
}

// picturePorts are the input and the output of a graph that makes a picture of
// one: three channels, or its brightness alone.
func picturePorts(graph *onnx.Model) (input, output Port, err error) {
	if input, output, err = only(graph, 4, "", 4); err != nil {
		return input, output, err
	}
	for _, port := range []Port{input, output} {
		if n := port.Dims[1]; n > 0 && n != colors && n != 1 {
			return input, output, fmt.Errorf("port %q has %d channels, want the %d of a picture, or 1", port.Name, n, colors)
		}
	}
	return input, output, nil
}

// describeFile tells a LoRA from an embedding by its tensors.
func (e Entry) describeFile() (m job.Model, err error) {
	err = e.open(func(f *safetensors.File) error {
		switch {
		case slices.ContainsFunc(f.Tensors, func(t safetensors.Tensor) bool { return lora.IsKey(t.Name) }):
			m, err = describeLoRA(f)
		case embedding.Is(f):
			m, err = e.describeEmbedding(f)
		default:
			err = neither(f)
		}
		return err
	})
	return m, err
}

// open opens a model of one safetensors file for as long as use runs.
func (e Entry) open(use func(*safetensors.File) error) error {
	data, err := e.Files.Open(e.File)
	if err != nil {
		return fmt.Errorf("%s: %w", e.file(e.File), reason(err))
	}
	defer data.Close()
	info, err := data.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", e.file(e.File), reason(err))
	}
	at, ok := data.(io.ReaderAt)
	if !ok { // not of a folder of the system
		whole, err := io.ReadAll(data)
		if err != nil {
			return fmt.Errorf("%s: %w", e.file(e.File), reason(err))
		}
		at = bytes.NewReader(whole)
	}
	f, err := safetensors.Open(at, info.Size())
	if err == nil {
		err = use(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.file(e.File), err)
	}
	return nil
}

// neither is the error of a file that is no LoRA and no embedding.
func neither(f *safetensors.File) error {
	var names []string
	for _, t := range f.Tensors[:min(3, len(f.Tensors))] {
		names = append(names, t.Name)
	}
	return fmt.Errorf("it is neither a LoRA nor an embedding: its tensors are %s and so on; a whole model is exported with optimum-cli export onnx, which makes a folder", strings.Join(names, ", "))
}

// describeLoRA tells which networks a LoRA is for, as far as its layers do.
func describeLoRA(f *safetensors.File) (job.Model, error) {
	layers, err := lora.Outline(f)
	if err != nil {
		return job.Model{}, err
	}
	m := job.Model{Kind: job.LoRAModel}
	for _, l := range layers {
		if !slices.Contains(m.Parts, string(l.Part)) {
			m.Parts = append(m.Parts, string(l.Part))
		}
		switch encoder := slices.Index([]lora.Part{lora.TextEncoder, lora.TextEncoder2}, l.Part); {
		case encoder >= 0:
			for len(m.EncoderWidths) <= encoder {
				m.EncoderWidths = append(m.EncoderWidths, 0)
			}
			if strings.HasSuffix(l.Path, "_self_attn_q_proj") {
				m.EncoderWidths[encoder] = l.In
			}
		case strings.HasSuffix(l.Path, "_attn2_to_k") || strings.HasSuffix(l.Path, "_attn2_to_v"):
			m.TextWidth = l.In
		}
	}
	return m, nil
}

func (e Entry) describeEmbedding(f *safetensors.File) (job.Model, error) {
	outline, err := embedding.Outline(f)
	if err != nil {
		return job.Model{}, err
	}
	token := cmp.Or(outline.Token, e.Name)
	return job.Model{Kind: job.EmbeddingModel, Token: token, Vectors: outline.Vectors, EncoderWidths: outline.Widths}, embedding.CheckToken(token)
}
