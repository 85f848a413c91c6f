package noise_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/noise"
)

// TestGolden compares with torch, bit for bit.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Seed  uint64
		Calls []struct {
			N     int
			CRC32 uint32
			Bits  string
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		g := noise.New(c.Seed)
		for i, call := range c.Calls {
			t.Run(fmt.Sprintf("seed=%d/call=%d/n=%d", c.Seed, i, call.N), func(t *testing.T) {
				got := make([]float32, call.N)
				g.Normal(got)
				want := strings.Fields(call.Bits)
				for k, word := range want {
					at := k
					if k >= len(want)/2 {
						at = call.N - len(want) + k
					}
					bits, err := strconv.ParseUint(word, 16, 32)
					if err != nil {
						t.Fatal(err)
					}
					if w := math.Float32frombits(uint32(bits)); got[at] != w {
						t.Errorf("number %d is %v, torch draws %v", at, got[at], w)
					}
				}
				if sum := checksum(got); sum != call.CRC32 {
					t.Errorf("CRC-32 %d, want %d", sum, call.CRC32)
				}
			})
		}
	}
}

func checksum(x []float32) uint32 {
	data := make([]byte, 0, 4*len(x))
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return crc32.ChecksumIEEE(data)
}

// TestPickUp stops between calls of both kinds and goes on in a fresh
// generator.
func TestPickUp(t *testing.T) {
	sizes := []int{1, 3, 16, 5, 1000, 700, 1, 2}
	whole := noise.New(7)
	parts := noise.New(7)
	for i, n := range sizes {
		data, err := parts.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		parts = noise.New(99)
		if err := parts.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		want, got := make([]float32, n), make([]float32, n)
		whole.Normal(want)
		parts.Normal(got)
		if checksum(want) != checksum(got) {
			t.Errorf("call %d for %d numbers differs after picking up", i, n)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	good, err := noise.New(1).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	broken := func(at int, value byte) []byte {
		data := append([]byte(nil), good...)
		data[at] = value
		return data
	}
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"a byte less":     good[:len(good)-1],
		"a byte more":     append(append([]byte(nil), good...), 0),
		"another version": broken(0, 9),
		"position":        broken(1+4*624+1, 255),
		"flag":            broken(1+4*624+2, 2),
	} {
		g := noise.New(3)
		if err := g.UnmarshalBinary(data); err == nil {
			t.Errorf("%s: no error", name)
		}
		want, got := make([]float32, 20), make([]float32, 20)
		noise.New(3).Normal(want)
		g.Normal(got)
		if checksum(want) != checksum(got) {
			t.Errorf("%s: the generator was changed", name)
		}
	}
}

func BenchmarkNormal(b *testing.B) {
	g := noise.New(1)
	dst := make([]float32, 4*64*64)
	b.SetBytes(int64(4 * len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		g.Normal(dst)
	}
}
