package cli

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]size{"8GB": 8e9, "8 gib": 8 << 30, "1.5MB": 1.5e6, "700": 700} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "GB", "8G", "-1GB", "0", "8GBs", "NaN", "1e300GB"} {
		var s size
		if s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
}
