// Package spelling guesses what a mistyped name was meant to be.
package spelling

import "strings"

// Nearest returns the candidate that a mistyped name most probably meant, or
// "" where none is near: one within a third of the name's length in optimal
// string alignment distance (insertions, deletions, substitutions, swaps of
// neighbours; letter case is free), else the only one that begins with it.
func Nearest(name string, candidates []string) string {
	lower := strings.ToLower(name)
	nearest, distance := "", min((len(name)+2)/3+1, len(name))
	for _, candidate := range candidates {
		if d := alignment(lower, strings.ToLower(candidate), distance); d < distance {
			nearest, distance = candidate, d
		}
	}
	if nearest != "" || len(name) < 3 {
		return nearest
	}
	for _, candidate := range candidates {
		if strings.HasPrefix(strings.ToLower(candidate), lower) {
			if nearest != "" {
				return ""
			}
			nearest = candidate
		}
	}
	return nearest
}

// alignment is the optimal string alignment distance in bytes, or some number
// of at least limit where it is not below that.
func alignment(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := last[j-1]
			if a[i-1] != b[j-1] {
				substitute++
			}
			row[j] = min(last[j]+1, row[j-1]+1, substitute)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
