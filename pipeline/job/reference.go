package job

import (
	"fmt"
	"slices"
	"strings"
)

// reference is a place in a job where a model is named.
type reference struct {
	field string
	ref   *string // a name, or name@digest prefix; resolved: name@sha256
	kind  ModelKind
}

// references are all places but that of the job's own model.
func (s *Spec) references() []reference {
	var all []reference
	for i := range s.Control {
		all = append(all, reference{fmt.Sprintf("control[%d].model", i), &s.Control[i].Model, ControlNetModel})
	}
	for i := range s.LoRAs {
		all = append(all, reference{fmt.Sprintf("loras[%d].name", i), &s.LoRAs[i].Name, LoRAModel})
	}
	for i := range s.Embeddings {
		all = append(all, reference{fmt.Sprintf("embeddings[%d]", i), &s.Embeddings[i], EmbeddingModel})
	}
	if s.Upscale != nil {
		all = append(all, reference{"upscale.model", &s.Upscale.Model, UpscalerModel})
	}
	return all
}

// Models are the names and digests of all that shapes a resolved job's picture.
func (s Spec) Models() map[string]string {
	models := map[string]string{}
	for _, r := range append(s.references(), reference{ref: &s.Model}) {
		if name, digest, ok := strings.Cut(*r.ref, "@"); ok {
			models[name] = digest
		}
	}
	return models
}

// Pinned takes a resolved reference apart.
func Pinned(ref string) (name, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	return name, digest
}

// resolveReferences pins what the job names beside its own model, and checks
// that all of it can be used together.
func (s *Spec) resolveReferences(m Model, find func(ref string) (Model, error)) (faults Faults) {
	fault := func(field, what, want string) {
		faults = append(faults, Fault{Field: field, What: what, Want: want})
	}
	// They are shared with the Spec that this one was copied from.
	s.Control, s.LoRAs, s.Embeddings = slices.Clone(s.Control), slices.Clone(s.LoRAs), slices.Clone(s.Embeddings)
	if s.Upscale != nil {
		s.Upscale = new(*s.Upscale)
	}
	faults = s.resolveControl(m)
	tokens := map[string]string{} // the name of the embedding that has each
	pinned := map[string]bool{}
	for _, r := range s.references() {
		if r.kind == ControlNetModel && (m.Controls > 0 || *r.ref == "") {
			continue // which resolveControl has looked at
		}
		found, err := find(*r.ref)
		if err != nil {
			fault(r.field, err.Error(), "")
			continue
		}
		if found.Kind != r.kind {
			fault(r.field, fmt.Sprintf("%s is %v", found.Name, found.Kind), fmt.Sprintf("want %v", r.kind))
			continue
		}
		if _, pin := Pinned(*r.ref); !strings.HasPrefix(found.Digest, pin) {
			faults = append(faults, Fault{r.field, "other weights than", *r.ref, "want `" + found.Ref() + "`"})
		}
		if what := found.misfit(m); what != "" {
			fault(r.field, fmt.Sprintf("%s doesn't go with %s: %s", found.Name, m.Name, what), "it was made for another family of models")
		}
		*r.ref = found.Ref()
		switch r.kind {
		case LoRAModel:
			if pinned[found.Digest] {
				fault(r.field, found.Name+" is there twice", "want it once, with a `scale`")
			}
		case EmbeddingModel:
			if other, ok := tokens[found.Token]; ok && other == found.Name {
				fault(r.field, found.Name+" is there twice", "want it once")
			} else if ok {
				fault(r.field, fmt.Sprintf("%s and %s stand for the same word, %s", other, found.Name, found.Token), "want one of them")
			}
			tokens[found.Token] = found.Name
		case UpscalerModel:
			if s.Upscale.Scale == 0 {
				s.Upscale.Scale = found.Scale
			}
			faults = append(faults, found.checkGrowth("upscale.scale", s.Upscale.Scale)...)
		}
		pinned[found.Digest] = true
	}
	return faults
}

// misfit says what keeps m from being used with a pipeline; empty: nothing.
func (m Model) misfit(pipeline Model) string {
	texts := func(own, other int) string {
		return fmt.Sprintf("it is for tokens of %d numbers, and the model's have %d", own, other)
	}
	switch {
	case m.Kind == UpscalerModel:
		return "" // it takes any picture
	case pipeline.Kind != PipelineModel:
		return "that is " + pipeline.Kind.String()
	case m.TextWidth > 0 && m.TextWidth != pipeline.TextWidth:
		return texts(m.TextWidth, pipeline.TextWidth)
	case m.Kind == ControlNetModel && m.Channels != pipeline.Channels:
		return fmt.Sprintf("it is for latents of %d channels, and the model's have %d", m.Channels, pipeline.Channels)
	case m.Kind == ControlNetModel && m.XL != pipeline.XL:
		return "one is of SDXL's family, the other is not"
	case m.Kind == EmbeddingModel && len(m.EncoderWidths) != len(pipeline.EncoderWidths):
		return fmt.Sprintf("it has vectors for %d text encoders, and the model has %d", len(m.EncoderWidths), len(pipeline.EncoderWidths))
	case len(m.EncoderWidths) > len(pipeline.EncoderWidths):
		return fmt.Sprintf("it changes %d text encoders, and the model has %d", len(m.EncoderWidths), len(pipeline.EncoderWidths))
	}
	for i, width := range m.EncoderWidths {
		if other := pipeline.EncoderWidths[i]; width > 0 && width != other {
			return texts(width, other)
		}
	}
	return ""
}
