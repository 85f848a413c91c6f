package onnx

// Magnification is how many times as high a graph's output is as its input,
// both pictures of [rows channels height width]; 0 where that can't be told. It
// follows the picture from node to node: few kinds of them change its size, and
// a Reshape leaves open what becomes of it.
func (m *Model) Magnification(input, output string) float64 { return m.magnifications(input)[output] }

// magnifications are those of all values of which they can be told.
func (m *Model) magnifications(input string) map[string]float64 {
	factors := map[string]float64{input: 1}
	for _, n := range m.nodes {
		factor := 0.
		for _, name := range n.inputs {
			if factor = factors[name]; factor > 0 {
				break
			}
		}
		if factor == 0 {
			continue
		}
		stride := float64(max(1, m.attribute(n, "strides")))
		switch n.op {
		case "Conv", "MaxPool", "AveragePool":
			factor /= stride
		case "ConvTranspose":
			factor *= stride
		case "DepthToSpace":
			factor *= float64(m.attribute(n, "blocksize"))
		case "SpaceToDepth":
			factor /= float64(max(1, m.attribute(n, "blocksize")))
		case "Resize", "Upsample":
			scales := m.constant(n.inputs[len(n.inputs)-1])
			if len(scales) != 4 {
				continue
			}
			factor *= float64(scales[2])
		case "Shape", "Reshape":
			continue
		}
		for _, name := range n.outputs {
			factors[name] = factor
		}
	}
	return factors
}

// Features is how many numbers the largest result of a convolution has for each
// pixel of the input: what tells how much memory a large picture takes. Results
// whose size can't be told are taken as so many times as high as the input.
func (m *Model) Features(input string, unknown float64) int64 {
	factors := m.magnifications(input)
	most := 0.
	for _, n := range m.nodes {
		if n.op != "Conv" && n.op != "ConvTranspose" || len(n.inputs) < 2 || len(n.outputs) == 0 {
			continue
		}
		factor := factors[n.outputs[0]]
		if factor == 0 {
			factor = unknown
		}
		dims := m.dims(n.inputs[1])
		if len(dims) < 2 {
			continue
		}
		channels := dims[0]
		if n.op == "ConvTranspose" {
			channels = dims[1] * max(1, m.attribute(n, "group"))
		}
		most = max(most, float64(channels)*factor*factor)
	}
	return int64(min(most, 1<<40))
}

// dims is the shape of an initializer, maybe behind a cast; none where it isn't
// one.
func (m *Model) dims(name string) (dims []int64) {
	for range m.nodes {
		if tensor, ok := m.weights[name]; ok {
			return m.varints(tensor, tensorDims)
		}
		n, ok := m.producer(name)
		if !ok || len(n.inputs) == 0 {
			return nil
		}
		name = n.inputs[0]
	}
	return nil
}
