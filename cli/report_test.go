package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What a signal cuts off has a signal's exit status, unless it is known better.
func TestReport(t *testing.T) {
	going := t.Context()
	cut, stop := context.WithCancel(going)
	stop()
	broken := fmt.Errorf("the store: %w", context.Canceled)
	for name, c := range map[string]struct {
		ctx    context.Context
		err    error
		status int
		said   string
	}{
		"nothing wrong":            {going, nil, 0, ""},
		"nothing wrong, cut off":   {cut, nil, 0, ""},
		"the store fails":          {going, broken, 3, "darkroom: the store: context canceled\n"},
		"a signal":                 {cut, broken, 130, "darkroom: cut off: the store: context canceled\n"},
		"a wrong flag":             {cut, usage(errors.New("--jobs -1")), 2, "darkroom: --jobs -1\n"},
		"dead letters, in context": {going, fmt.Errorf("night: %w", &exitError{1, errors.New("2 of 3")}), 1, "darkroom: night: 2 of 3\n"},
	} {
		var said strings.Builder
		if status := report(c.ctx, &said, c.err); status != c.status || said.String() != c.said {
			t.Errorf("%s: status %d, %q; want %d, %q", name, status, said.String(), c.status, c.said)
		}
	}
}
