package pipeline

import (
	"fmt"
	"path"
	"slices"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/lora"
	"github.com/darkroom/darkroom/pipeline/onnx"
	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// Details are what a person may want to know of a model.
type Details struct {
	job.Model
	Entry  Entry
	Family string      // of a pipeline
	Size   int64       // of the files that make it up, bytes
	Graphs []GraphInfo // none of a LoRA or an embedding
	Layers int         // of a LoRA
	Ranks  []int       // of a LoRA's layers, each once, the smallest first
}

// GraphInfo is what a graph declares.
type GraphInfo struct {
	File            string // within the model's folder
	Inputs, Outputs []Port
}

// Details reads all of a model that ref names, and checks beside what
// [Library.Model] does that its graphs can be read and have their weights.
func (l *Library) Details(ref string) (Details, error) {
	m, err := l.Model(ref)
	if err != nil {
		return Details{}, err
	}
	i := slices.IndexFunc(l.entries, func(e Entry) bool { return e.Name == m.Name })
	d := Details{Model: m, Entry: l.entries[i]}
	if err := d.fill(); err != nil {
		return Details{}, fmt.Errorf("model %q: %w", m.Name, err)
	}
	return d, nil
}

func (d *Details) fill() (err error) {
	if d.Size, err = d.Entry.weigh(); err != nil {
		return err
	}
	switch d.Kind {
	case job.LoRAModel:
		return d.Entry.open(d.readLayers)
	case job.EmbeddingModel:
		return nil
	case job.PipelineModel:
		f, err := describe(d.Entry)
		if err != nil {
			return err
		}
		d.Family = f.family()
	}
	names, err := d.Entry.relevant()
	if err != nil {
		return err
	}
	for _, name := range names {
		if path.Base(name) != graphFile {
			continue
		}
		data, err := readWithSlack(d.Entry.Files, name)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Entry.file(name), reason(err))
		}
		graph, err := onnx.Parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Entry.file(name), err)
		}
		if _, err := (&folder{Entry: d.Entry}).weightsSize(name, graph.Files()); err != nil {
			return err
		}
		d.Graphs = append(d.Graphs, GraphInfo{name, graph.Inputs(), graph.Outputs()})
	}
	return nil
}

func (d *Details) readLayers(f *safetensors.File) error {
	layers, err := lora.Outline(f)
	if err != nil {
		return err
	}
	d.Layers = len(layers)
	for _, layer := range layers {
		d.Ranks = append(d.Ranks, layer.Rank)
	}
	slices.Sort(d.Ranks)
	d.Ranks = slices.Compact(d.Ranks)
	return nil
}

// family names the pipeline's make. Those of 1.x and 2.x differ in their text
// encoder only: CLIP ViT-L of 768 numbers a token, OpenCLIP ViT-H of 1024.
func (f *folder) family() string {
	name := "Stable Diffusion, of a size of its own"
	switch {
	case f.isXL():
		name = "Stable Diffusion XL"
	case f.textWidth() == 768:
		name = "Stable Diffusion 1.x"
	case f.textWidth() == 1024:
		name = "Stable Diffusion 2.x"
	}
	if f.lcm || f.unet.TimeCondDim != nil {
		name += ", LCM"
	}
	if f.inpaints() {
		name += ", inpainting"
	}
	if f.upscales() {
		name += ", upscaling"
	}
	return name
}
