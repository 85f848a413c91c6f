package imaging

// over is a channel of a color of some opacity over an opaque one, in the
// fixed-point arithmetic of Pillow's alpha_composite.
func over(front, alpha, back uint8) uint8 {
	const bits = 7
	a := uint32(alpha) << bits
	sum := uint32(front)*a + uint32(back)*(255<<bits-a) + 0x80<<bits
	return uint8((sum>>8 + sum) >> 8 >> bits)
}

// Overlay puts pixels of original back over those of painted, as far as mask
// doesn't mark them, as diffusers' apply_overlay does. Mask has one channel;
// all three have one size. Painted is changed.
func Overlay(painted, original, mask *Bitmap) {
	for i, m := range mask.Pix {
		alpha := 255 - m
		if alpha == 0 {
			continue
		}
		for c := range 3 {
			front := original.Pix[3*i+c]
			if alpha < 255 {
				// There the color has been multiplied with its opacity and
				// divided by it again, 8 bits each time.
				front = uint8(min(255*uint32(divide255(uint32(front)*uint32(alpha)))/uint32(alpha), 255))
			}
			painted.Pix[3*i+c] = over(front, alpha, painted.Pix[3*i+c])
		}
	}
}

// divide255 is x/255, rounded, for x up to 255^2.
func divide255(x uint32) uint8 {
	x += 128
	return uint8((x>>8 + x) >> 8)
}
