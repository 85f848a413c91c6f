package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
)

func encode(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPNGKinds reads one pixel of each kind of PNG.
func TestPNGKinds(t *testing.T) {
	one := image.Rect(0, 0, 1, 1)
	gray16, deep := image.NewGray16(one), image.NewNRGBA64(one)
	gray16.SetGray16(0, 0, color.Gray16{Y: 0x80ff})
	deep.SetNRGBA64(0, 0, color.NRGBA64{R: 0x12ff, G: 0x3400, B: 0x5600, A: 0xffff})
	clear := image.NewNRGBA(one)
	half := image.NewNRGBA(one)
	half.SetNRGBA(0, 0, color.NRGBA{R: 255, A: 128})
	palette := image.NewPaletted(one, color.Palette{color.NRGBA{R: 9, G: 8, B: 7, A: 255}})
	for name, c := range map[string]struct {
		picture image.Image
		rgb     []uint8
		mask    uint8
	}{
		"gray of 16 bits": {gray16, []uint8{0x80, 0x80, 0x80}, 0x80}, "16 bits": {deep, []uint8{0x12, 0x34, 0x56}, 0x2e},
		"nothing at all": {clear, []uint8{255, 255, 255}, 255}, "half transparent": {half, []uint8{255, 127, 127}, 127},
		"a palette": {palette, []uint8{9, 8, 7}, 8},
	} {
		file, err := Open(encode(t, c.picture))
		if err != nil {
			t.Fatal(err)
		}
		rgb, err := file.RGB()
		if err != nil {
			t.Fatal(err)
		}
		mask, err := file.Mask()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rgb.Pix, c.rgb) || mask.Pix[0] != c.mask {
			t.Errorf("%s is %v and the mask %v, want %v and %v", name, rgb.Pix, mask.Pix, c.rgb, c.mask)
		}
	}
}

// TestOrientation turns a picture of each format with EXIF whose dark corner lies
// elsewhere in each orientation, as Pillow does for diffusers.
func TestOrientation(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 32, 16))
	for i := range gray.Pix {
		if gray.Pix[i] = 255; i%32 < 8 && i/32 < 8 {
			gray.Pix[i] = 0
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gray, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	flat, lossless := encode(t, gray), encodeWebP(gray)
	formats := map[string]func(exif []byte) []byte{
		"jpg": func(exif []byte) []byte {
			return slices.Insert(slices.Clone(b.Bytes()), 2, appendSegment(nil, markerAPP1, append([]byte(exifStart), exif...))...)
		},
		"jpg with filling": func(exif []byte) []byte {
			return slices.Insert(slices.Clone(b.Bytes()), 2, append([]byte{0xff, 0xff}, appendSegment(nil, markerAPP1, append([]byte(exifStart), exif...))...)...)
		},
		"png": func(exif []byte) []byte {
			return slices.Insert(slices.Clone(flat), header, appendChunk(nil, "eXIf", exif)...)
		},
		"webp":            func(exif []byte) []byte { return riff(gray, lossless, exif) },
		"webp as in jpgs": func(exif []byte) []byte { return riff(gray, lossless, append([]byte(exifStart), exif...)) },
	}
	for o, corner := range []image.Point{1: {0, 0}, {31, 0}, {31, 15}, {0, 15}, {0, 0}, {15, 0}, {15, 31}, {0, 31}} {
		if o == 0 {
			continue
		}
		exif := append([]byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00"), byte(o), 0, 0, 0, 0, 0, 0, 0)
		for format, with := range formats {
			file, err := Open(with(exif))
			if err != nil {
				t.Fatal(format, err)
			}
			picture, err := file.RGB()
			if err != nil {
				t.Fatal(format, err)
			}
			if picture.Width != file.Width || (o >= 5) != (file.Width == 16) {
				t.Errorf("%s of orientation %d: %dx%d, the header %d wide", format, o, picture.Width, picture.Height, file.Width)
			} else if v := picture.At(corner.X, corner.Y)[1]; v > 40 {
				t.Errorf("%s of orientation %d: %v is %d, want it dark", format, o, corner, v)
			}
		}
	}
}

// encodeWebP writes the chunk of a lossless WebP, whose green is a bit a pixel.
func encodeWebP(picture *image.Gray) []byte {
	data, used := []byte{0x2f}, 8
	write := func(value, bits int) {
		for i := range bits {
			if used == 8 {
				data, used = append(data, 0), 0
			}
			data[len(data)-1] |= byte(value >> i & 1 << used)
			used++
		}
	}
	write(picture.Rect.Dx()-1, 14)
	write(picture.Rect.Dy()-1, 14)
	write(0, 1+3)            // no alpha, version 0
	write(0, 3)              // no transforms, no cache of colors, one group of codes
	write(0b111, 3)          // green: two symbols, of 8 bits
	write(0, 8)              // dark is 0
	write(255, 8)            // light is 1
	write(0b0001, 4)         // red: one symbol, of 1 bit
	write(0b0001, 4)         // blue
	write(0b101|255<<3, 3+8) // alpha: one symbol, of 8 bits
	write(0b0001, 4)         // distances
	for _, v := range picture.Pix {
		write(int(v)&1, 1)
	}
	return data
}

// riff is a WebP file with EXIF.
func riff(picture *image.Gray, lossless, exif []byte) []byte {
	chunk := func(b []byte, name string, data []byte) []byte {
		b = binary.LittleEndian.AppendUint32(append(b, name...), uint32(len(data)))
		if b = append(b, data...); len(data)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	canvas := []byte{1 << 3, 0, 0, 0, byte(picture.Rect.Dx() - 1), 0, 0, byte(picture.Rect.Dy() - 1), 0, 0}
	return chunk(nil, "RIFF", chunk(chunk(chunk([]byte("WEBP"), "VP8X", canvas), "VP8L", lossless), "EXIF", exif))
}

// TestGIFFrame reads the first frame, which is a part of the screen.
func TestGIFFrame(t *testing.T) {
	colors := color.Palette{color.NRGBA{R: 200, A: 255}}
	animation := gif.GIF{
		Image: []*image.Paletted{image.NewPaletted(image.Rect(1, 1, 2, 2), colors), image.NewPaletted(image.Rect(0, 0, 3, 2), colors)},
		Delay: []int{0, 0}, Config: image.Config{Width: 3, Height: 2},
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &animation); err != nil {
		t.Fatal(err)
	}
	file, err := Open(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	picture, err := file.RGB()
	if err != nil {
		t.Fatal(err)
	}
	if got := []uint8{picture.At(0, 0)[1], picture.At(1, 1)[0], picture.At(1, 1)[1], picture.At(2, 1)[1]}; !slices.Equal(got, []uint8{255, 200, 0, 255}) {
		t.Errorf("%v", got)
	}
}

// bomb is a small picture whose data, in a file of some 60 KB, would be 64 MB.
func bomb(t *testing.T) []byte {
	var data bytes.Buffer
	w := zlib.NewWriter(&data)
	if _, err := w.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	chunk := func(kind string, data []byte) []byte {
		body := append([]byte(kind), data...)
		whole := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		return binary.BigEndian.AppendUint32(append(whole, body...), crc32.ChecksumIEEE(body))
	}
	header := []byte{0, 0, 0, 40, 0, 0, 0, 40, 8, 0, 0, 0, 0}
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", header), chunk("IDAT", data.Bytes()), chunk("IEND", nil))
}

// TestBadFiles names what is wrong, and decodes no bomb.
func TestBadFiles(t *testing.T) {
	whole := encode(t, image.NewGray(image.Rect(0, 0, 40, 40)))
	claim := func(width, height uint32) []byte {
		bomb := slices.Clone(whole)
		binary.BigEndian.PutUint32(bomb[16:], width)
		binary.BigEndian.PutUint32(bomb[20:], height)
		binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
		return bomb
	}
	damaged := slices.Clone(whole)
	damaged[len(damaged)-20] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"words": {[]byte("a picture"), "no picture"}, "nothing": {nil, "no picture"}, "a header": {whole[:20], "ends too early"},
		"half a file": {whole[:len(whole)-30], "not enough pixel data"}, "a wrong checksum": {damaged, "damaged png"},
		"too many pixels": {claim(30000, 30000), "30000x30000"}, "too wide": {claim(40000, 1), "40000x1"},
		"far too large": {claim(100_000, 100_000), "100000x100000"}, "the largest there is": {claim(1<<31-1, 1<<31-1), "dimension overflow"},
		"a bomb": {bomb(t), "too much pixel data"},
	} {
		file, err := Open(c.data)
		if err == nil {
			err = file.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// FuzzOpen holds that no file does harm, and that pictures are as large as
// their headers say.
func FuzzOpen(f *testing.F) {
	small := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	f.Add(encode(f, small))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, small, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Insert(slices.Clone(b.Bytes()), 2, appendSegment(nil, markerAPP1, []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"))...))
	b.Reset()
	if err := gif.Encode(&b, small, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Open(data)
		if err != nil || file.Width*file.Height > 1<<16 {
			return
		}
		if picture, err := file.RGB(); err == nil && (picture.Width != file.Width || picture.Height != file.Height) {
			t.Errorf("%dx%d, the header says %dx%d", picture.Width, picture.Height, file.Width, file.Height)
		}
	})
}
