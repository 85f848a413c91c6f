package noise

const (
	twisterSize   = 624
	twisterOffset = 397
)

// twister is MT19937: Matsumoto and Nishimura, "Mersenne Twister: a
// 623-dimensionally equidistributed uniform pseudo-random number generator",
// ACM TOMACS 8 (1998).
type twister struct {
	state [twisterSize]uint32
	at    int // the next word of state to be handed out; twisterSize: none is left
}

func (t *twister) seed(seed uint32) {
	t.state[0] = seed
	for i := 1; i < twisterSize; i++ {
		before := t.state[i-1]
		t.state[i] = 1812433253*(before^before>>30) + uint32(i)
	}
	t.at = twisterSize
}

func (t *twister) next() uint32 {
	if t.at == twisterSize {
		t.regenerate()
	}
	y := t.state[t.at]
	t.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (t *twister) regenerate() {
	s := &t.state
	for i := 0; i < twisterSize-twisterOffset; i++ {
		s[i] = s[i+twisterOffset] ^ twist(s[i], s[i+1])
	}
	for i := twisterSize - twisterOffset; i < twisterSize-1; i++ {
		s[i] = s[i+twisterOffset-twisterSize] ^ twist(s[i], s[i+1])
	}
	s[twisterSize-1] = s[twisterOffset-1] ^ twist(s[twisterSize-1], s[0])
	t.at = 0
}

func twist(a, b uint32) uint32 {
	y := a&0x80000000 | b&0x7fffffff
	return y>>1 ^ -(y&1)&0x9908b0df
}
