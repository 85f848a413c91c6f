package sampler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// State is everything that is carried from one evaluation of the network to
// the next. [Plan.Begin] makes one; to pick up one that was written down, set
// Noise to a generator of the same kind and call UnmarshalBinary.
type State struct {
	// X is the latent. It may be changed between evaluations, as inpainting
	// by blending does.
	X []float32
	// Noise is the job's one generator.
	Noise Noise

	plan    uint64 // the fingerprint of the plan that it belongs to
	begin   int    // the evaluation that the run began at
	done    int    // evaluations up to here are done
	history [][]float32
}

// Done returns how many of the plan's evaluations lie behind: those before the
// start of an image-to-image run are among them.
func (s *State) Done() int { return s.done }

const (
	stateVersion = 1
	stateHeader  = 1 + 8 + 5*4

	maxEvaluations = 1 << 16
	maxValues      = 1 << 28 // of a latent
	maxBuffers     = 16
)

// MarshalBinary writes the state down. It must not be called while an
// evaluation is under way; from within the function that [Plan.Run] calls
// after each of them it may.
func (s *State) MarshalBinary() ([]byte, error) {
	var generator []byte
	if s.Noise != nil {
		var err error
		if generator, err = s.Noise.MarshalBinary(); err != nil {
			return nil, fmt.Errorf("writing down the random generator: %w", err)
		}
	}
	data := make([]byte, 0, stateHeader+len(generator)+4*len(s.X)*(1+len(s.history)))
	data = append(data, stateVersion)
	data = binary.LittleEndian.AppendUint64(data, s.plan)
	for _, n := range []int{s.begin, s.done, len(s.X), len(s.history), len(generator)} {
		data = binary.LittleEndian.AppendUint32(data, uint32(n))
	}
	data = append(data, generator...)
	data = appendFloats(data, s.X)
	for _, buffer := range s.history {
		data = appendFloats(data, buffer)
	}
	return data, nil
}

// UnmarshalBinary reads a state that was written down, and puts Noise in its
// place. Whether it belongs to a plan, [Plan.Run] checks.
func (s *State) UnmarshalBinary(data []byte) error {
	if len(data) < stateHeader {
		return fmt.Errorf("sampler state: %d bytes, want at least %d", len(data), stateHeader)
	}
	if data[0] != stateVersion {
		return fmt.Errorf("sampler state: version %d, want %d", data[0], stateVersion)
	}
	read := State{plan: binary.LittleEndian.Uint64(data[1:]), Noise: s.Noise}
	var n [5]int
	for i := range n {
		n[i] = int(binary.LittleEndian.Uint32(data[9+4*i:]))
	}
	read.begin, read.done = n[0], n[1]
	values, count, generator := n[2], n[3], n[4]
	if read.done > maxEvaluations || read.begin > read.done {
		return fmt.Errorf("sampler state: begun at evaluation %d and at %d", read.begin, read.done)
	}
	if values > maxValues || count > maxBuffers || generator > len(data) {
		return fmt.Errorf("sampler state: %d values, %d buffers and %d bytes of a generator are too many", values, count, generator)
	}
	data = data[stateHeader:]
	if want := generator + 4*values*(1+count); len(data) != want {
		return fmt.Errorf("sampler state: %d bytes after the header, want %d", len(data), want)
	}
	place := data[:generator]
	data = data[generator:]
	read.X, data = cutFloats(data, values)
	read.history = make([][]float32, count)
	for i := range read.history {
		read.history[i], data = cutFloats(data, values)
	}
	switch {
	case generator > 0 && s.Noise == nil:
		return errors.New("sampler state: it holds a random generator's place, and Noise is nil")
	case generator > 0:
		if err := s.Noise.UnmarshalBinary(place); err != nil {
			return fmt.Errorf("sampler state: %w", err)
		}
	}
	*s = read
	return nil
}

func appendFloats(data []byte, x []float32) []byte {
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

func cutFloats(data []byte, n int) ([]float32, []byte) {
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x, data[4*n:]
}
