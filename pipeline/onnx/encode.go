package onnx

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// edit changes the graph's bytes: where at is not empty those of a whole field.
type edit struct {
	at      span   // the payload of the field
	payload []byte // the new one; whole fields where at is empty
	gone    bool   // the field goes, which is one of the graph's nodes
}

// replace puts another payload in the place of a field's, and of what replaced it
// before.
func (m *Model) replace(at span, payload []byte) { m.edit(edit{at: at, payload: payload}) }

// remove takes a node away.
func (m *Model) remove(n node) { m.edit(edit{at: n.at, gone: true}) }

func (m *Model) edit(e edit) {
	if i, ok := m.edited[e.at]; ok {
		m.edits[i] = e
		return
	}
	m.edited[e.at] = len(m.edits)
	m.edits = append(m.edits, e)
}

// insert puts whole fields before a field's start, or at the graph's end.
func (m *Model) insert(from int, fields []byte) {
	m.edits = append(m.edits, edit{at: span{from, from}, payload: fields})
}

// fieldStart is where a node begins, tag and length included, whose payload is at.
func (m *Model) fieldStart(at span) int { return lengthStart(at) - protowire.SizeTag(graphNode) }

// lengthStart is where the length begins of a field whose payload is at.
func lengthStart(at span) int { return at.from - protowire.SizeVarint(uint64(at.to-at.from)) }

// Edited tells whether the model was changed.
func (m *Model) Edited() bool { return len(m.edits) > 0 }

// patch is what an edit makes of the file's bytes.
type patch struct {
	from, to int
	length   []byte // before the payload
	payload  []byte
}

func (p patch) growth() int { return len(p.length) + len(p.payload) - (p.to - p.from) }

func (m *Model) patch(e edit) patch {
	switch {
	case e.gone:
		return patch{from: m.fieldStart(e.at), to: e.at.to}
	case e.at.from == e.at.to:
		return patch{from: e.at.from, to: e.at.to, payload: e.payload}
	}
	return patch{lengthStart(e.at), e.at.to, protowire.AppendVarint(nil, uint64(len(e.payload))), e.payload}
}

// Encode returns the file with its changes. The model must not be used again:
// its bytes are changed in place where there is room for that, so that large
// files are held once.
func (m *Model) Encode() []byte {
	slices.SortStableFunc(m.edits, func(a, b edit) int { return a.at.from - b.at.from })
	patches := make([]patch, 1, 1+len(m.edits))
	size := m.graph.to - m.graph.from
	for _, e := range m.edits {
		p := m.patch(e)
		size += p.growth()
		patches = append(patches, p)
	}
	patches[0] = patch{from: lengthStart(m.graph), to: m.graph.from, length: protowire.AppendVarint(nil, uint64(size))}

	grown, most := 0, 0
	for _, p := range patches {
		grown += p.growth()
		most = max(most, grown)
	}
	// What is written never comes past what is still to be read, if that has
	// been moved on by the most that the file has grown anywhere.
	at, from, moved := patches[0].from, m.data, 0
	to := m.data[:at]
	if most <= cap(m.data)-len(m.data) {
		from, moved = m.data[:len(m.data)+most], most
		copy(from[at+moved:], m.data[at:])
	} else {
		to = append(make([]byte, 0, len(m.data)+grown), to...)
	}
	for _, p := range patches {
		to = append(to, from[at+moved:p.from+moved]...)
		to = append(append(to, p.length...), p.payload...)
		at = p.to
	}
	return append(to, from[at+moved:]...)
}
