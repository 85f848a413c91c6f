package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/darkroom/darkroom/pipeline/safetensors"
)

// settings are what PEFT's configuration of an adapter says of the strength of a
// part's layers, where the tensors don't say it.
type settings struct {
	Alpha    *float64 `json:"lora_alpha"`
	Patterns patterns `json:"alpha_pattern"`
	Rooted   bool     `json:"use_rslora"` // divided by the rank's root, not by the rank (Kalajdzievski, arXiv 2312.03732)
}

// patterns are the alphas of some modules. The first that matches counts, so that
// their order in the file does.
type patterns []pattern

type pattern struct {
	module *regexp.Regexp // a path with dots
	alpha  float64
}

func (p *patterns) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	switch open, err := decoder.Token(); {
	case err != nil || open == nil: // null is no patterns
		return err
	case open != json.Delim('{'):
		return fmt.Errorf("alpha_pattern is %s, want an object", data)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		one := pattern{}
		if err := decoder.Decode(&one.alpha); err != nil {
			return fmt.Errorf("alpha_pattern %q: %w", key, err)
		}
		// PEFT matches the end of the path, from the beginning of a name on.
		if one.module, err = regexp.Compile(fmt.Sprintf(`^(?:.*\.)?(?:%s)$`, key)); err != nil {
			return fmt.Errorf("alpha_pattern %q: %w", key, err)
		}
		*p = append(*p, one)
	}
	return nil
}

// alpha is what a layer's product is multiplied by, times the rank; usual is that
// where nothing is said.
func (s *settings) alpha(module string, rank int, usual float64) float64 {
	if s == nil {
		return usual
	}
	alpha := usual
	if s.Alpha != nil {
		alpha = *s.Alpha
	}
	for _, p := range s.Patterns {
		if p.module.MatchString(module) {
			alpha = p.alpha
			break
		}
	}
	if s.Rooted {
		alpha *= math.Sqrt(float64(rank))
	}
	return alpha
}

// readSettings reads what diffusers keeps beside the tensors of a file: PEFT's
// configurations of all parts in one JSON object, each name behind its part's, or
// without where the file is a UNet's alone.
func readSettings(f *safetensors.File) (map[Part]*settings, error) {
	const key = "lora_adapter_metadata"
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(f.Metadata[key]), &all) != nil {
		return nil, nil // there are none
	}
	byPart := map[Part]map[string]json.RawMessage{}
	for name, value := range all {
		part := UNet
		for _, p := range []Part{UNet, TextEncoder, TextEncoder2} {
			if cut, ok := strings.CutPrefix(name, string(p)+"."); ok {
				part, name = p, cut
			}
		}
		if byPart[part] == nil {
			byPart[part] = map[string]json.RawMessage{}
		}
		byPart[part][name] = value
	}
	found := map[Part]*settings{}
	for part, values := range byPart {
		data, err := json.Marshal(values)
		if err == nil {
			found[part] = &settings{}
			err = json.Unmarshal(data, found[part])
		}
		if err != nil {
			return nil, fmt.Errorf("its %s of the %s: %w", key, part, err)
		}
	}
	return found, nil
}
