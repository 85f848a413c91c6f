package score

import (
	"errors"
	"fmt"
)

// A Floor holds the least shares of pictures that must be all right, 0 to 1.
type Floor struct {
	All    float64 `json:"all"`
	New    float64 `json:"new"`    // of scenes of pairs that training has shown
	Unseen float64 `json:"unseen"` // of scenes with a pair that it has not
}

// Check returns an error that names every share of the table that is below the
// floor.
func (f Floor) Check(t Table) error {
	var faults []error
	for _, part := range []struct {
		name  string
		tally Tally
		least float64
	}{{"all prompts", t.All, f.All}, {"new scenes", t.New, f.New}, {"unseen pairs", t.Unseen, f.Unseen}} {
		if got := part.tally.Share(); got < part.least {
			faults = append(faults, fmt.Errorf("%s: %.1f %% of %d pictures are all right, want at least %.1f %%",
				part.name, 100*got, part.tally.N, 100*part.least))
		}
	}
	return errors.Join(faults...)
}
