package job

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong with a line, and what would be right.
type Fault struct {
	Field string // such as sampler or control[2].image; empty: the line as a whole
	What  string // such as "unknown name"
	Value string // what the line says, shortened; empty: nothing worth showing
	Want  string // such as "did you mean `euler`?"; empty: What says it all
}

// Error renders the fault: `sampler`: unknown name `eular`, did you mean `euler`?
func (f Fault) Error() string {
	var b strings.Builder
	if f.Field != "" {
		fmt.Fprintf(&b, "`%s`: ", f.Field)
	}
	b.WriteString(f.What)
	if f.Value != "" {
		fmt.Fprintf(&b, " `%s`", f.Value)
	}
	if f.Want != "" {
		b.WriteString(", " + f.Want)
	}
	return b.String()
}

// Faults is everything that is wrong with a line; none where it is empty.
type Faults []Fault

// Error renders all faults, one after the other.
func (f Faults) Error() string {
	all := make([]string, len(f))
	for i, fault := range f {
		all[i] = fault.Error()
	}
	return strings.Join(all, "; ")
}

// And adds what was found out later, but for what comes of these faults: where a
// field's value is of no use, nothing more is told of it, nor of its parts.
func (f Faults) And(later Faults) Faults {
	all := f
	for _, fault := range later {
		if !slices.ContainsFunc(f, func(first Fault) bool { return first.covers(fault.Field) }) {
			all = append(all, fault)
		}
	}
	return all
}

func (f Fault) covers(field string) bool {
	return f.Field != "" && (field == f.Field || f.What == wrongType && strings.HasPrefix(field, f.Field+"."))
}

// Err returns the faults as an error, nil where there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// shorten keeps the part of a value that helps to find it in the line.
func shorten[T ~string | ~[]byte](value T) string {
	const most = 60
	if len(value) <= most {
		return string(value)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return string(value[:cut]) + "…"
}
