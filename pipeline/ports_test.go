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

// TestSizes refuses ports for more numbers than there is memory for, whose product
// may be more than a number holds.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		dims []int64
		want string
	}{
		{nil, ""},
		{[]int64{-1, 3, -1, -1}, ""},
		{[]int64{1, 3, 8192, 8192}, ""},
		{[]int64{1, 0, 1 << 62}, `port "x" has the shape [1 0 4611686018427387904], for more than 256 million numbers`},
		{[]int64{1, 4, 1 << 15, 1 << 15}, `port "x" has the shape [1 4 32768 32768], for more than 256 million numbers`},
		{[]int64{1 << 32, 1 << 32}, `port "x" has the shape [4294967296 4294967296], for more than 256 million numbers`},
	} {
		got := ""
		if err := checkSize(Port{Name: "x", Dims: c.dims}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.dims, got, c.want)
		}
	}
}
