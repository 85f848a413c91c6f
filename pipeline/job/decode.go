package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/darkroom/darkroom/pipeline/spelling"
)

const (
	// MaxLine is the longest line of a batch file, in bytes.
	MaxLine = 1 << 20
	// DefaultModel is the model of a generate or an edit that names none.
	DefaultModel = "house"
)

// Decode reads a line of a batch file or a manifest: one JSON object. It
// returns all that is wrong with the line by itself, at once. The Spec is what
// was right, as if the line left out the rest, so that [Spec.Resolve] can tell
// what else is wrong; it is the zero Spec, without a model, where the line is no
// JSON object or names its model wrongly. Numbers of labels keep their text, as
// json.Number.
func Decode(line []byte) (Spec, Faults) {
	if len(line) > MaxLine {
		return Spec{}, Faults{{What: fmt.Sprintf("a line of %d bytes", len(line)), Want: "want at most 1 MiB"}}
	}
	if !utf8.Valid(line) {
		return Spec{}, Faults{badUTF8(line)}
	}
	d := decoder{scanner: scanner{data: line}, spec: Spec{Kind: Generate, Model: DefaultModel}}
	if c := d.peek(); c != '{' {
		d.unexpected("want a JSON object in braces")
	}
	given := readObject(&d, specMembers, &d.spec)
	if d.spec.Kind == Upscale && given&specMembers.bit("model") == 0 {
		d.spec.Model = DefaultUpscaler
	}
	d.end()
	if d.err != nil {
		return Spec{}, append(d.faults, Fault{What: d.err.Error()})
	}
	d.faults = append(d.faults, d.spec.check(given)...)
	if d.spec.Model == "" {
		return Spec{}, d.faults
	}
	return d.spec, d.faults
}

// UnmarshalJSON reads a job as Decode does.
func (s *Spec) UnmarshalJSON(data []byte) error {
	spec, faults := Decode(data)
	if faults == nil {
		*s = spec
	}
	return faults.Err()
}

func badUTF8(line []byte) Fault {
	at := 0
	for at < len(line) {
		r, size := utf8.DecodeRune(line[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return Fault{What: fmt.Sprintf("byte %d, 0x%02x, is not UTF-8", at+1, line[at]), Want: "save the file as UTF-8"}
}

// decoder reads a Spec and gathers what is wrong with it. Its methods read one
// value, of the field that it is at, and note a fault where the value is not
// as it must be.
type decoder struct {
	scanner
	spec   Spec
	field  string // such as control[2].image
	faults Faults
}

// given notes that the line has the field, unless its value was at fault.
func (d *decoder) given(field fieldSet) {
	if n := len(d.faults); n == 0 || d.faults[n-1].Field != d.field {
		d.spec.given |= field
	}
}

func (d *decoder) fault(what string, value []byte, want string) {
	d.faults = append(d.faults, Fault{Field: d.field, What: what, Value: shorten(value), Want: "want " + want})
}

const wrongType = "wrong type:"

// wrongType reads the value that comes next, which is not what is wanted.
func (d *decoder) wrongType(want string) {
	if value := d.value(); d.err == nil {
		d.fault(wrongType, value, want)
	}
}

// string reads a string.
func (d *decoder) string(want string) (text string, ok bool) {
	if d.peek() != '"' {
		d.wrongType(want)
		return "", false
	}
	text = string(d.text())
	return text, d.err == nil
}

// name reads a string that must meet a condition.
func (d *decoder) name(want string, valid func(string) bool) string {
	text, ok := d.string(want)
	switch {
	case !ok || valid(text):
		return text
	case text == "":
		d.fault("empty", nil, want)
	default:
		d.fault("not allowed:", []byte(text), want)
	}
	return ""
}

// oneOf reads a string that must be one of a few words.
func (d *decoder) oneOf(words ...string) string {
	if d.peek() != '"' {
		d.wrongType("one of " + strings.Join(words, ", "))
		return ""
	}
	word, ok := d.string("")
	if ok && !slices.Contains(words, word) {
		d.faults = append(d.faults, Fault{Field: d.field, What: "unknown name", Value: shorten(word), Want: didYouMean(word, words)})
		return ""
	}
	return word
}

func (d *decoder) isNumber() bool {
	c := d.peek()
	return c == '-' || '0' <= c && c <= '9'
}

// whole reads a whole number.
func (d *decoder) whole(least, most uint64) uint64 {
	want := func() string { return fmt.Sprintf("a whole number from %d to %d", least, most) }
	if !d.isNumber() {
		d.wrongType(want())
		return 0
	}
	text := d.number()
	n, ok := parseWhole(text)
	switch {
	case d.err != nil:
	case !ok && bytes.ContainsAny(text, ".eE"):
		d.fault("not a whole number:", text, want())
	case !ok || n < least || n > most:
		d.fault("out of range:", text, want())
	default:
		return n
	}
	return 0
}

func (d *decoder) int(least, most int) int { return int(d.whole(uint64(least), uint64(most))) }

// float reads a number.
func (d *decoder) float(least, most float64) float64 {
	want := func() string { return fmt.Sprintf("a number from %v to %v", least, most) }
	if !d.isNumber() {
		d.wrongType(want())
		return 0
	}
	text := d.number()
	if d.err != nil {
		return 0
	}
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil || x < least || x > most {
		d.fault("out of range:", text, want())
		return 0
	}
	return x + 0 // -0 is 0
}

func (d *decoder) bool() bool {
	switch {
	case d.literal("true"):
		return true
	case !d.literal("false"):
		d.wrongType("true or false")
	}
	return false
}

// labels reads a flat object.
func (d *decoder) labels() map[string]any {
	const want = "an object of strings, numbers, true, false and null"
	if d.peek() != '{' {
		d.wrongType(want)
		return nil
	}
	labels := map[string]any{}
	d.object(func(key []byte) {
		if _, twice := labels[string(key)]; twice {
			d.faults = append(d.faults, Fault{Field: "labels." + shorten(key), What: "given twice"})
		}
		var value any
		switch c := d.peek(); {
		case c == '"':
			value = string(d.text())
		case d.isNumber():
			value = json.Number(d.number())
		case c == '{' || c == '[':
			d.field = "labels." + shorten(key)
			d.wrongType("a string, a number, true, false or null")
		case d.literal("true"):
			value = true
		case d.literal("false"):
			value = false
		case !d.literal("null"):
			d.unexpected("want a value")
		}
		labels[string(key)] = value
	})
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// readList reads an array of at most 64 elements.
func readList[T any](d *decoder, read func(d *decoder, v *T)) []T {
	const most = 64
	if d.peek() != '[' {
		d.wrongType("a list")
		return nil
	}
	var list []T
	name := d.field
	d.array(func(i int) {
		d.field = name + "[" + strconv.Itoa(i) + "]"
		if i == most {
			d.fault("one too many", nil, fmt.Sprintf("at most %d", most))
		}
		var v T
		if read(d, &v); i < most {
			list = append(list, v)
		}
	})
	return list
}

// member is a field of an object: its name and how it is read.
type member[T any] struct {
	name string
	read func(d *decoder, v *T)
}

// members are an object's fields, at most 64.
type members[T any] struct {
	list  []member[T]
	names []string
	index map[string]int
}

func newMembers[T any](list ...member[T]) *members[T] {
	m := &members[T]{list: list, index: make(map[string]int, len(list))}
	for i, member := range list {
		m.names = append(m.names, member.name)
		m.index[member.name] = i
	}
	return m
}

// bit is the field's place in what readObject returns.
func (m *members[T]) bit(name string) uint64 { return 1 << m.index[name] }

// readObject reads an object, of which it needs some fields, and returns the
// bits of those it has.
func readObject[T any](d *decoder, m *members[T], v *T, needs ...string) (given uint64) {
	if d.peek() != '{' {
		d.wrongType("an object with " + strings.Join(m.names, ", "))
		return 0
	}
	object, prefix := d.field, ""
	if object != "" {
		prefix = object + "."
	}
	d.object(func(key []byte) {
		i, known := m.index[string(key)]
		if !known {
			d.unknown(prefix, string(key), m.names)
			return
		}
		d.field = prefix + m.list[i].name
		if given&(1<<i) != 0 {
			d.faults = append(d.faults, Fault{Field: d.field, What: "given twice"})
		}
		given |= 1 << i
		m.list[i].read(d, v)
	})
	for _, name := range needs {
		if given&m.bit(name) == 0 && d.err == nil {
			d.faults = append(d.faults, Fault{Field: prefix + name, What: "missing"})
		}
	}
	d.field = object
	return given
}

func (d *decoder) unknown(prefix, key string, names []string) {
	d.field = prefix + shorten(key)
	hint, ok := elsewhere[key]
	if ok && prefix == "" {
		hint = "it is called `" + hint + "` here"
	} else {
		hint = didYouMean(key, names)
	}
	d.faults = append(d.faults, Fault{Field: d.field, What: "unknown field", Want: hint})
	d.value()
}

// elsewhere has other programs' names for a job's fields.
var elsewhere = map[string]string{
	"cfg": "guidance_scale", "cfg_scale": "guidance_scale", "guidance": "guidance_scale",
	"num_inference_steps": "steps", "sampler_name": "sampler", "scheduler": "schedule",
	"denoising_strength": "strength", "init_image": "image", "init_images": "image", "mask_image": "mask",
	"custom_id": "id", "checkpoint": "model", "batch_size": "n", "n_iter": "n", "num_images": "n",
	"num_images_per_prompt": "n", "text": "prompt", "tis": "embeddings",
}

// didYouMean is the end of a fault about an unknown name.
func didYouMean(name string, candidates []string) string {
	if nearest := spelling.Nearest(name, candidates); nearest != "" {
		return "did you mean `" + nearest + "`?"
	}
	return "want one of " + strings.Join(candidates, ", ")
}
