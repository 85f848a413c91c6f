// Package noise draws the random numbers that PyTorch draws on a CPU: the same
// seed gives the same start noise, and so the same picture, as in diffusers
// with torch.Generator("cpu").manual_seed(seed).
package noise

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Generator is a torch CPU generator: a Mersenne Twister and the second value
// of the last Box-Muller pair. It is not safe for concurrent use; every job
// has one of its own.
type Generator struct {
	twister twister
	spare   float64 // the sine of the last pair of the short path
	spared  bool    // whether spare is still to be used
}

// New returns a generator seeded as torch.Generator("cpu").manual_seed(seed)
// is: by the low 32 bits of seed.
func New(seed uint64) *Generator {
	g := new(Generator)
	g.twister.seed(uint32(seed))
	return g
}

// Normal fills dst with what torch.randn(len(dst)) returns next: numbers of
// the standard normal distribution, equal to torch's to the last bit on
// processors with AVX2. As in torch, the length of a call shapes the stream:
// two calls for 16 numbers are another stream than one for 32 that ends in
// the middle of a block, and calls for fewer than 16 go another way.
func (g *Generator) Normal(dst []float32) {
	if len(dst) < block {
		for i := range dst {
			dst[i] = float32(g.short())
		}
		return
	}
	for i := range dst {
		dst[i] = g.uniform()
	}
	whole := len(dst) / block * block
	for i := 0; i < whole; i += block {
		boxMuller((*[block]float32)(dst[i:]))
	}
	if whole < len(dst) {
		// torch redraws the last 16 as a block of their own, numbers of the
		// block before among them.
		last := (*[block]float32)(dst[len(dst)-block:])
		for i := range last {
			last[i] = g.uniform()
		}
		boxMuller(last)
	}
}

// uniform returns a number of [0, 1) in steps of 2^-24.
func (g *Generator) uniform() float32 {
	return float32(g.twister.next()&(1<<24-1)) * 0x1p-24
}

// uniform64 returns a number of [0, 1) in steps of 2^-53.
func (g *Generator) uniform64() float64 {
	high := uint64(g.twister.next())
	low := uint64(g.twister.next())
	return float64((high<<32|low)&(1<<53-1)) * 0x1p-53
}

// short returns the next number of a call for fewer than 16: Box and Muller's
// transform in double precision, two numbers a pair of uniforms.
func (g *Generator) short() float64 {
	if g.spared {
		g.spared = false
		return g.spare
	}
	angle, length := g.uniform64(), g.uniform64()
	radius := math.Sqrt(-2 * math.Log1p(-length))
	sin, cos := math.Sincos(2 * math.Pi * angle)
	g.spare, g.spared = radius*sin, true
	return radius * cos
}

const (
	stateVersion = 1
	stateSize    = 1 + 4*twisterSize + 2 + 1 + 8
)

// MarshalBinary returns the generator's place in its stream.
func (g *Generator) MarshalBinary() ([]byte, error) {
	data := make([]byte, 0, stateSize)
	data = append(data, stateVersion)
	for _, word := range g.twister.state {
		data = binary.LittleEndian.AppendUint32(data, word)
	}
	data = binary.LittleEndian.AppendUint16(data, uint16(g.twister.at))
	spared := byte(0)
	if g.spared {
		spared = 1
	}
	data = append(data, spared)
	return binary.LittleEndian.AppendUint64(data, math.Float64bits(g.spare)), nil
}

// UnmarshalBinary puts the generator where the one was that MarshalBinary was
// called on. It leaves the generator as it is where data is not such a place.
func (g *Generator) UnmarshalBinary(data []byte) error {
	if len(data) != stateSize {
		return fmt.Errorf("random generator state: %d bytes, want %d", len(data), stateSize)
	}
	if data[0] != stateVersion {
		return fmt.Errorf("random generator state: version %d, want %d", data[0], stateVersion)
	}
	var read Generator
	data = data[1:]
	for i := range read.twister.state {
		read.twister.state[i] = binary.LittleEndian.Uint32(data)
		data = data[4:]
	}
	read.twister.at = int(binary.LittleEndian.Uint16(data))
	if read.twister.at > twisterSize {
		return fmt.Errorf("random generator state: position %d, want 0 .. %d", read.twister.at, twisterSize)
	}
	switch data[2] {
	case 0:
	case 1:
		read.spared = true
	default:
		return fmt.Errorf("random generator state: spare flag %d, want 0 or 1", data[2])
	}
	read.spare = math.Float64frombits(binary.LittleEndian.Uint64(data[3:]))
	*g = read
	return nil
}
