package clip

import (
	"container/heap"
	"slices"
)

// symbol is a string that stands for bytes, the last of a word's marked as
// its end: a byte to begin with, what merges make of them then.
type symbol int32

// merge is what becomes of two symbols beside each other, and its turn.
type merge struct {
	rank   int32
	result symbol
}

// merges are a vocabulary's byte-pair merges. Symbols 0-255 are the bytes and
// 256-511 the bytes that end a word.
type merges map[[2]symbol]merge

// apply returns the symbols of a word: again and again, the pair whose merge
// has the lowest rank is merged wherever it stands, from the left.
func (m merges) apply(word string) []symbol {
	symbols := make([]symbol, len(word))
	for i := range len(word) {
		symbols[i] = symbol(word[i])
	}
	symbols[len(word)-1] += 256
	if len(word) <= shortWord {
		return m.applyShort(symbols)
	}
	return m.applyLong(symbols)
}

// shortWord is the length up to which looking at each pair again is quicker
// than remembering.
const shortWord = 48

func (m merges) applyShort(symbols []symbol) []symbol {
	for len(symbols) > 1 {
		best, pair := merge{}, [2]symbol{-1}
		for i := range symbols[1:] {
			p := [2]symbol(symbols[i : i+2])
			if next, ok := m[p]; ok && (pair[0] < 0 || next.rank < best.rank) {
				best, pair = next, p
			}
		}
		if pair[0] < 0 {
			break
		}
		out := symbols[:0]
		for i := 0; i < len(symbols); i++ {
			if i+1 < len(symbols) && [2]symbol(symbols[i:i+2]) == pair {
				out = append(out, best.result)
				i++
			} else {
				out = append(out, symbols[i])
			}
		}
		symbols = out
	}
	return symbols
}

// applyLong takes a time of n log n: a prompt may be one word of a megabyte.
func (m merges) applyLong(symbols []symbol) []symbol {
	const gone = symbol(-1)
	n := len(symbols)
	next, prev := make([]int, n), make([]int, n)
	for i := range n {
		next[i], prev[i] = i+1, i-1
	}
	waiting := make(map[int32][]int) // where the pairs of a rank began when they were seen
	var ranks rankHeap
	add := func(i int) {
		if i < 0 || symbols[i] == gone || next[i] >= n {
			return
		}
		if merge, ok := m[[2]symbol{symbols[i], symbols[next[i]]}]; ok {
			if len(waiting[merge.rank]) == 0 {
				heap.Push(&ranks, merge.rank)
			}
			waiting[merge.rank] = append(waiting[merge.rank], i)
		}
	}
	for i := range n {
		add(i)
	}
	for len(ranks) > 0 {
		// All of a rank before any that they make, even of a lower rank.
		rank := heap.Pop(&ranks).(int32)
		places := waiting[rank]
		delete(waiting, rank)
		slices.Sort(places)
		merged := places[:0]
		for _, i := range places {
			j := next[i]
			if symbols[i] == gone || j >= n {
				continue
			}
			merge, ok := m[[2]symbol{symbols[i], symbols[j]}]
			if !ok || merge.rank != rank {
				continue // another merge took one of the two
			}
			symbols[i], symbols[j] = merge.result, gone
			if next[i] = next[j]; next[i] < n {
				prev[next[i]] = i
			}
			merged = append(merged, i)
		}
		for _, i := range merged {
			add(prev[i])
			add(i)
		}
	}
	return slices.DeleteFunc(symbols, func(s symbol) bool { return s == gone })
}

// rankHeap is a heap of ranks.
type rankHeap []int32

func (h rankHeap) Len() int           { return len(h) }
func (h rankHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h rankHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *rankHeap) Push(x any)        { *h = append(*h, x.(int32)) }
func (h *rankHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
