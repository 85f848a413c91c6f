package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/lora"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// product is what LoRAs add to one layer: the sum of their products is one of
// matrices laid side by side.
type product struct {
	layer onnx.Layer
	parts []factors
}

type factors struct {
	lora.Layer
	scale float64 // of up
}

// products are what the LoRAs add to a network's layers, in an order that is
// always the same.
func (t *taught) products(m *onnx.Model, f *folder, network lora.Part) ([]*product, error) {
	var all []*product
	byPath := map[string]*product{}
	graph := onnx.Layers{}
	for _, one := range t.loras {
		layers, err := t.layers(one, network)
		if err != nil {
			return nil, err
		}
		var unmatched []string
		for _, l := range layers {
			if graph.Len() == 0 {
				if graph = m.Layers(); graph.Len() == 0 {
					return nil, errors.New("it says nowhere what its layers are called, so that no LoRA can be added: export the model again with optimum-cli")
				}
			}
			layer, ok := graph.Find(lora.DiffusersPath(l.Path, f.unet.layers(0)))
			if !ok {
				unmatched = append(unmatched, l.Key)
				continue
			}
			if err := fits(l, layer); err != nil {
				return nil, fmt.Errorf("LoRA %s doesn't fit: %w", one.about.Name, err)
			}
			p := byPath[layer.Path]
			if p == nil {
				p = &product{layer: layer}
				byPath[layer.Path] = p
				all = append(all, p)
			}
			p.parts = append(p.parts, factors{l, one.scale * l.Alpha / float64(l.Rank)})
		}
		if unmatched != nil {
			return nil, fmt.Errorf("LoRA %s doesn't fit: %s", one.about.Name, nowhere(unmatched, len(layers)))
		}
	}
	return all, nil
}

// nowhere names keys that match no layer, the first few.
func nowhere(keys []string, all int) string {
	const few = 3
	named := strings.Join(keys[:min(few, len(keys))], ", ")
	if more := len(keys) - few; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d of its %d layers for this graph are nowhere in it: %s", len(keys), all, named)
}

// fits compares the sizes of what is added with those of the layer. A
// convolution of one pixel is as good as a linear layer.
func fits(l lora.Layer, layer onnx.Layer) error {
	one := [2]int{1, 1}
	kernels := l.Kernel == layer.Kernel || (l.Kernel == one || l.Kernel == [2]int{}) && (layer.Kernel == one || layer.Kernel == [2]int{})
	if l.In == layer.In && l.Out == layer.Out && kernels {
		return nil
	}
	shape := fmt.Sprintf("%d inputs and %d outputs", l.In, l.Out)
	if l.Kernel != [2]int{} {
		shape = fmt.Sprintf("a kernel of %dx%d, %s", l.Kernel[0], l.Kernel[1], shape)
	}
	return fmt.Errorf("%s is for %s, and the layer is %v", l.Key, shape, layer)
}

// add adds the product to its layer's weight.
func (p *product) add(m *onnx.Model) {
	rank := 0
	for _, part := range p.parts {
		rank += part.Rank
	}
	up := make([]float32, 0, p.layer.Out*rank)
	for row := range p.layer.Out {
		for _, part := range p.parts {
			for _, v := range part.Up[row*part.Rank : (row+1)*part.Rank] {
				up = append(up, float32(float64(v)*part.scale))
			}
		}
	}
	var down [][]float32
	for _, part := range p.parts {
		down = append(down, part.Down)
	}
	m.AddProduct(p.layer, rank, up, slices.Concat(down...))
}
