package clip

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Both ways to apply merges agree, with merges in any order of ranks.
func TestMergesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := make(merges)
		known := []symbol{'a', 'b', 'c', 'c' + 256}
		order := rapid.Permutation([]int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).Draw(t, "ranks")
		for _, rank := range order {
			pair := [2]symbol{rapid.SampledFrom(known).Draw(t, "first"), rapid.SampledFrom(known).Draw(t, "second")}
			if _, ok := m[pair]; !ok {
				result := symbol(1000 + len(m))
				m[pair] = merge{rank, result}
				known = append(known, result)
			}
		}
		word := rapid.SliceOfN(rapid.SampledFrom([]symbol{'a', 'b', 'c'}), 1, 80).Draw(t, "word")
		short, long := m.applyShort(slices.Clone(word)), m.applyLong(slices.Clone(word))
		if !slices.Equal(short, long) {
			t.Fatalf("%d becomes %d looked at again and again, %d remembered", word, short, long)
		}
	})
}

// A prompt of one word as long as a line takes no quadratic time.
func BenchmarkMegabyteWord(b *testing.B) {
	m := merges{{'a', 'b'}: {1, 1000}, {1000, 1000}: {2, 1001}, {1001, 1001}: {3, 1002}}
	word := slices.Repeat([]symbol{'a', 'b'}, 1<<19)
	for b.Loop() {
		m.applyLong(slices.Clone(word))
	}
}
