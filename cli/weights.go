package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// weights are queues by name, as "night=3,default=1"; one without a weight has 1.
type weights map[string]int

// UnmarshalText implements [encoding.TextUnmarshaler]. A flag that is given more
// than once adds up.
func (w *weights) UnmarshalText(text []byte) error {
	if *w == nil {
		*w = weights{}
	}
	for one := range strings.SplitSeq(string(text), ",") {
		name, number, ok := strings.Cut(one, "=")
		weight, err := 1, error(nil)
		if ok {
			weight, err = strconv.Atoi(number)
		}
		if err != nil || weight < 1 {
			return fmt.Errorf("%q: want a weight of 1 or more, as in night=3,default=1", one)
		}
		(*w)[name] = weight
	}
	return nil
}
