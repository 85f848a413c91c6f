package sampler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Config is a model's scheduler_config.json: the class that the model was
// published with, and only those keys that the file has. Every scheduler class
// has defaults of its own for the missing ones, so that one file means
// different things to different samplers, as it does in diffusers.
type Config struct {
	class string
	keys  map[string]json.RawMessage
}

// ParseConfig reads a scheduler_config.json. Keys that no sampler knows are
// passed over, as diffusers does; a key of the wrong type is an error. What a
// value means, and whether it is supported, [New] says, for it depends on the
// sampler.
func ParseConfig(data []byte) (Config, error) {
	c := Config{}
	decoder := json.NewDecoder(bytes.NewReader(quoteInfinities(data)))
	if err := decoder.Decode(&c.keys); err != nil {
		return Config{}, fmt.Errorf("scheduler_config.json: %w", err)
	}
	if decoder.More() {
		return Config{}, errors.New("scheduler_config.json: there is more after the object")
	}
	if raw, ok := c.keys["_class_name"]; ok {
		if err := json.Unmarshal(raw, &c.class); err != nil {
			return Config{}, fmt.Errorf("scheduler_config.json: `_class_name` is %s, want a string", raw)
		}
	}
	// Keys listed here were filled in with a class's defaults, not chosen.
	if raw, ok := c.keys["_use_default_values"]; ok {
		var filled []string
		if err := json.Unmarshal(raw, &filled); err != nil {
			return Config{}, fmt.Errorf("scheduler_config.json: `_use_default_values` is %s, want a list of strings", raw)
		}
		for _, key := range filled {
			delete(c.keys, key)
		}
	}
	maps.DeleteFunc(c.keys, func(key string, _ json.RawMessage) bool { return strings.HasPrefix(key, "_") })
	return c, new(settings).fill(c.keys)
}

// StableDiffusion returns the configuration as diffusers' StableDiffusion and
// StableDiffusionImg2Img pipelines patch it when they are made (XL, ControlNet
// and LCM pipelines don't): timesteps are offset by one and samples are not
// clipped, whatever the file says; what it says nothing of is left alone.
func (c Config) StableDiffusion() Config {
	return c.with("steps_offset", "1").with("clip_sample", "false")
}

// StableDiffusionInpaint returns the configuration as diffusers'
// StableDiffusionInpaint pipeline patches it: timesteps are offset by one and
// pndm starts without Runge-Kutta steps.
func (c Config) StableDiffusionInpaint() Config {
	return c.with("steps_offset", "1").with("skip_prk_steps", "true")
}

// with returns a copy that has value where the key is there at all.
func (c Config) with(key, value string) Config {
	if _, ok := c.keys[key]; !ok {
		return c
	}
	keys := maps.Clone(c.keys)
	keys[key] = json.RawMessage(value)
	return Config{class: c.class, keys: keys}
}

// Sampler returns the name of the sampler that the file itself asks for by its
// _class_name, algorithm_type and solver_order.
func (c Config) Sampler() (string, error) {
	if c.class == "" {
		return "", errors.New("scheduler_config.json: no `_class_name`, so that the model has no sampler of its own; name one")
	}
	var s settings
	if err := s.fill(c.keys); err != nil {
		return "", err
	}
	if c.class == "DPMSolverMultistepScheduler" && s.AlgorithmType == sdePlusPlus {
		if s.SolverOrder == 3 {
			return "dpmpp_3m_sde", nil
		}
		return "dpmpp_2m_sde", nil
	}
	for _, m := range methods {
		if m.Class == c.class {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("scheduler_config.json: `_class_name` %q is none of the classes that are built: %s; name a sampler",
		c.class, strings.Join(Classes(), ", "))
}

// Classes lists the values of _class_name that [Config.Sampler] knows.
func Classes() []string {
	var classes []string
	for _, m := range methods {
		if !slices.Contains(classes, m.Class) {
			classes = append(classes, m.Class)
		}
	}
	slices.Sort(classes)
	return classes
}

// quoteInfinities puts quotes around the bare Infinity, -Infinity and NaN that
// Python writes and JSON doesn't know: diffusers saves `lambda_min_clipped` so.
func quoteInfinities(data []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\' && i+1 < len(data):
			out = append(out, c, data[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case !inString:
			if word := infinity(data[i:]); word != "" {
				out = append(append(append(out, '"'), word...), '"')
				i += len(word) - 1
				continue
			}
		}
		out = append(out, data[i])
	}
	return out
}

func infinity(data []byte) string {
	for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
		if bytes.HasPrefix(data, []byte(word)) {
			return word
		}
	}
	return ""
}

// number is a float64 that may be infinite.
type number float64

func (n *number) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"Infinity"`:
		*n = number(math.Inf(1))
	case `"-Infinity"`:
		*n = number(math.Inf(-1))
	default:
		return json.Unmarshal(data, (*float64)(n))
	}
	return nil
}
