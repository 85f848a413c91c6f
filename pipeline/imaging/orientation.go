package imaging

import (
	"bytes"
	"encoding/binary"
)

// orientation is how a picture must be turned to be seen upright, by EXIF's
// numbers: 0 and 1 not at all.
type orientation uint16

// turned tells whether width and height change places.
func (o orientation) turned() bool { return o >= 5 }

// turn returns the picture as it is to be seen.
func (o orientation) turn(b *Bitmap) *Bitmap {
	if o < 2 || o > 8 {
		return b
	}
	width, height := b.Width, b.Height
	if o.turned() {
		width, height = height, width
	}
	turned := NewBitmap(width, height, b.Channels)
	right, bottom := b.Width-1, b.Height-1
	for y := range height {
		for x := range width {
			var from []uint8
			switch o {
			case 2:
				from = b.At(right-x, y)
			case 3:
				from = b.At(right-x, bottom-y)
			case 4:
				from = b.At(x, bottom-y)
			case 5:
				from = b.At(y, x)
			case 6:
				from = b.At(y, bottom-x)
			case 7:
				from = b.At(right-y, bottom-x)
			case 8:
				from = b.At(right-y, x)
			}
			copy(turned.At(x, y), from)
		}
	}
	return turned
}

// readOrientation returns the orientation that a file's EXIF holds, 0 where it has
// none that can be read.
func readOrientation(data []byte, ext string) orientation {
	switch ext {
	case "jpg":
		return tiffOrientation(jpegEXIF(data))
	case "png":
		for kind, body := range allChunks(data) {
			if kind == "eXIf" {
				return tiffOrientation(body)
			}
		}
	case "webp":
		return tiffOrientation(webpEXIF(data))
	}
	return 0
}

// exifStart is what stands before EXIF's TIFF in a JPEG, and in some WebP files.
const exifStart = "Exif\x00\x00"

// jpegEXIF returns the TIFF of a JPEG's EXIF segment.
func jpegEXIF(jpeg []byte) []byte {
	for rest := jpeg[2:]; len(rest) >= 4 && rest[0] == 0xff; {
		if rest[1] == 0xff { // fills up
			rest = rest[1:]
			continue
		}
		size := int(binary.BigEndian.Uint16(rest[2:]))
		if size < 2 || len(rest) < 2+size || rest[1] == markerScan {
			break
		}
		if tiff, ok := bytes.CutPrefix(rest[4:2+size], []byte(exifStart)); ok && rest[1] == markerAPP1 {
			return tiff
		}
		rest = rest[2+size:]
	}
	return nil
}

// webpEXIF returns the TIFF of a WebP's EXIF chunk: chunks of a name of four
// characters and a length follow each other, on even places.
func webpEXIF(webp []byte) []byte {
	for rest := webp[12:]; len(rest) >= 8; {
		size := int64(binary.LittleEndian.Uint32(rest[4:]))
		if size > int64(len(rest)-8) {
			break
		}
		if string(rest[:4]) == "EXIF" {
			return bytes.TrimPrefix(rest[8:8+size], []byte(exifStart))
		}
		rest = rest[min(8+size+size&1, int64(len(rest))):]
	}
	return nil
}

// tiffOrientation looks for the tag 0x0112 in the first directory of a TIFF.
func tiffOrientation(tiff []byte) orientation {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 0
		}
		if order.Uint16(entries) == 0x0112 {
			if o := orientation(order.Uint16(entries[8:])); o <= 8 {
				return o
			}
			return 0
		}
		entries = entries[12:]
	}
	return 0
}
