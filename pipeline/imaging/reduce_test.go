package imaging

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestReduction holds rows one by one against a picture at once.
func TestReduction(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct{ fromWidth, fromHeight, width, height int }{
		{64, 64, 32, 32}, {64, 60, 64, 30}, {61, 47, 17, 13}, {40, 30, 40, 30}, {5, 5, 1, 1}, {16, 12, 15, 11},
	} {
		picture := NewBitmap(c.fromWidth, c.fromHeight, 3)
		for i := range picture.Pix {
			picture.Pix[i] = uint8(random.Uint32())
		}
		reduction := NewReduction(c.fromWidth, c.fromHeight, c.width, c.height)
		for y := range c.fromHeight {
			reduction.Add(picture.Row(y, 0, c.fromWidth))
		}
		got, want := reduction.Picture(), picture.Resize(c.width, c.height)
		if got.Width != want.Width || got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%+v: the rows one by one make another picture", c)
		}
		if left := len(reduction.window) / (3 * c.width); left > 20*c.fromHeight/c.height {
			t.Errorf("%+v: %d rows are kept", c, left)
		}
	}
}
