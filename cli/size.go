package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a number of bytes, as "8GB" or "8GiB".
type size int64

// units by their letters; those with an i are powers of 1024.
var units = map[string]float64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, known := units[strings.ToUpper(strings.TrimSpace(string(text[len(number):])))]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n > 0 && n*unit < 1<<62) {
		return fmt.Errorf("%q is no size: say 8GB, 8GiB or 500MB", text)
	}
	*s = size(n * unit)
	return nil
}
