package half_test

import (
	"math"
	"testing"

	"github.com/darkroom/darkroom/pipeline/half"
)

// TestHalf goes through all halves, and through what lies between two of them.
func TestHalf(t *testing.T) {
	for h := range uint32(1 << 16) {
		bits := uint16(h)
		f := half.Float(bits)
		if f != f {
			if got := half.Float(half.Of(f)); got == got {
				t.Fatalf("%#x: not a number becomes %v", bits, got)
			}
			continue
		}
		if got := half.Of(f); got != bits {
			t.Fatalf("%#x is %v and becomes %#x", bits, f, got)
		}
		if bits&0x7fff >= 0x7bff {
			continue
		}
		next := half.Float(bits + 1)
		middle := float32((float64(f) + float64(next)) / 2)
		if got, want := half.Of(middle), bits+bits&1; got != want {
			t.Fatalf("between %#x and the next it becomes %#x, want the even one %#x", bits, got, want)
		}
		if got := half.Of(math.Nextafter32(middle, next)); got != bits+1 {
			t.Fatalf("above the middle of %#x and the next it becomes %#x", bits, got)
		}
	}
	for f, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, -1e30: 0xfc00, 1e-30: 0, float32(math.Inf(1)): 0x7c00} {
		if got := half.Of(f); got != want {
			t.Errorf("%v becomes %#x, want %#x", f, got, want)
		}
	}
}
