package sampler

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// brownianPath is Brownian motion of a vector, known at the ends of numbered
// intervals that don't overlap: there its increments are independent, and each
// has a random stream of its own. So they are the same in whichever order, and
// however often, they are asked for.
type brownianPath struct {
	seed uint64
	bits *rand.ChaCha8
}

func newBrownianPath(seed uint64) *brownianPath {
	return &brownianPath{seed: seed, bits: rand.NewChaCha8([32]byte{})}
}

// extend adds to w the path's increment over an interval of the given length.
func (b *brownianPath) extend(w []float32, interval int, length float64) {
	var key [32]byte
	copy(key[:], "darkroom brownian")
	binary.LittleEndian.PutUint64(key[24:], b.seed)
	binary.LittleEndian.PutUint32(key[20:], uint32(interval))
	b.bits.Seed(key)
	deviation := math.Sqrt(length)
	for i := 0; i < len(w); i += 2 {
		// Box and Muller's transform; 1-u is never 0.
		radius := deviation * math.Sqrt(-2*math.Log(1-b.uniform()))
		sin, cos := math.Sincos(2 * math.Pi * b.uniform())
		w[i] += float32(radius * cos)
		if i+1 < len(w) {
			w[i+1] += float32(radius * sin)
		}
	}
}

// uniform returns a number of [0, 1) in steps of 2^-53.
func (b *brownianPath) uniform() float64 { return float64(b.bits.Uint64()>>11) * 0x1p-53 }
