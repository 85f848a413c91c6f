package onnx

// AddShape gives a graph another output, the shape of one that it has, and
// returns it. So a call can tell how large a picture becomes before there is
// memory for one.
func (m *Model) AddShape(output Port) Port {
	shape := Port{Name: output.Name + "/shape", Type: Int64, Dims: []int64{int64(len(output.Dims))}}
	v := value{Port: shape}
	n := node{op: "Shape", name: shape.Name, inputs: []string{output.Name}, outputs: []string{shape.Name}}
	fields := appendBytes(nil, graphNode, n.encode())
	fields = appendBytes(fields, graphOutput, v.encode())
	m.insert(m.graph.to, fields)
	m.nodes, m.outputs = append(m.nodes, n), append(m.outputs, v)
	return shape
}
