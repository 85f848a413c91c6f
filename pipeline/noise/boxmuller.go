package noise

import "math"

// block is how many numbers torch transforms at a time.
const block = 16

// boxMuller turns 16 uniform numbers into 16 normal ones in place: the first
// eight give the radii, the other eight the angles. All of it is single
// precision with fused multiply-adds, as torch's vectorised kernel has it:
// a correctly rounded logarithm gives another last bit in one number of six.
func boxMuller(d *[block]float32) {
	for i := 0; i < block/2; i++ {
		radius := sqrt(-2 * log(1-d[i]))
		sin, cos := sincos(2 * math.Pi * d[i+block/2])
		d[i] = radius * cos
		d[i+block/2] = radius * sin
	}
}

// fma returns a*b+c with one rounding. The product of two float32 is exact in
// a float64.
func fma(a, b, c float32) float32 {
	return float32(float64(a)*float64(b) + float64(c))
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// log is the natural logarithm of a positive normal number: Cephes' logf, a
// polynomial of degree 8 on [sqrt(1/2)-1, sqrt(2)-1] (Moshier, Methods and
// Programs for Mathematical Functions, 1989).
func log(x float32) float32 {
	bits := math.Float32bits(x)
	exponent := float32(int(bits>>23) - 126)
	x = math.Float32frombits(bits&0x007fffff | 0x3f000000) // [1/2, 1)
	if x < math.Sqrt2/2 {
		exponent--
		x += x - 1
	} else {
		x--
	}
	square := x * x
	y := fma(7.0376836292e-2, x, -1.1514610310e-1)
	y = fma(y, x, 1.1676998740e-1)
	y = fma(y, x, -1.2420140846e-1)
	y = fma(y, x, 1.4249322787e-1)
	y = fma(y, x, -1.6668057665e-1)
	y = fma(y, x, 2.0000714765e-1)
	y = fma(y, x, -2.4999993993e-1)
	y = fma(y, x, 3.3333331174e-1)
	y = fma(y*x, square, exponent*-2.12194440e-4) // ln 2 in two parts
	y = fma(square, -.5, y)
	return fma(exponent, 0.693359375, x+y)
}

// sincos returns the sine and the cosine of an angle of [0, 2 pi]: Cephes'
// sinf and cosf, polynomials on [-pi/4, pi/4].
func sincos(x float32) (sin, cos float32) {
	octant := (int(x*(4/math.Pi)) + 1) &^ 1
	y := float32(octant)
	x = fma(y, -0.78515625, x) // pi/4 in three parts
	x = fma(y, -2.4187564849853515625e-4, x)
	x = fma(y, -3.77489497744594108e-8, x)

	square := x * x
	cos = fma(2.443315711809948e-5, square, -1.388731625493765e-3)
	cos = fma(cos, square, 4.166664568298827e-2)
	cos = fma(cos*square, square, square*-.5) + 1
	sin = fma(-1.9515295891e-4, square, 8.3321608736e-3)
	sin = fma(sin, square, -1.6666654611e-1)
	sin = fma(sin*square, x, x)

	switch octant & 6 {
	case 2:
		sin, cos = cos, -sin
	case 4:
		sin, cos = -sin, -cos
	case 6:
		sin, cos = -cos, sin
	}
	return sin, cos
}
