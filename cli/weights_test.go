package cli

import (
	"maps"
	"testing"
)

func TestWeights(t *testing.T) {
	for text, want := range map[string]weights{"night": {"night": 1}, "night=3,default": {"night": 3, "default": 1}} {
		var w weights
		if err := w.UnmarshalText([]byte(text)); err != nil || !maps.Equal(w, want) {
			t.Errorf("%s is %v, %v; want %v", text, w, err, want)
		}
	}
	for _, text := range []string{"night=0", "night=", "night=x", "night=3,default=-1", "night=3=4"} {
		if w := (weights{}); w.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}
