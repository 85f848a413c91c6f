// Package half converts numbers of half precision (IEEE 754 binary16), which Go
// has no type for.
package half

import "math"

// Of rounds a number to the nearest half, ties to even; what is too large becomes
// an infinity.
func Of(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000: // not a number
		return sign | 0x7e00
	case bits >= 0x477ff000: // rounds to 2^16 or more
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: adding 1/2 leaves the rounded subnormal in the low bits
		return sign | uint16(math.Float32bits(math.Float32frombits(bits)+.5)-math.Float32bits(.5))
	}
	odd := bits >> 13 & 1
	return sign | uint16((bits-(127-15)<<23+0xfff+odd)>>13)
}

// Float is the value of a half. It is exact.
func Float(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
