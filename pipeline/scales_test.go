package pipeline

import "testing"

// TestScalarScales refuses a graph whose ControlNets share one scale, for which no
// call has a place.
func TestScalarScales(t *testing.T) {
	pictures := Port{Name: picturesInput, Dims: []int64{2, -1, 3, -1, -1}}
	for _, c := range []struct {
		scales Port
		want   string
	}{
		{Port{Name: scalesInput, Dims: []int64{2, 1}}, ""},
		{Port{Name: scalesInput, Dims: []int64{-1}}, ""},
		{Port{Name: scalesInput}, `its input "conditioning_scales" is a scalar: want one number for each ControlNet`},
	} {
		got := ""
		if err := new(unet).checkControl([]Port{pictures, c.scales}, &folder{}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.scales, got, c.want)
		}
	}
}
