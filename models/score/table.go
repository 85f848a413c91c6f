package score

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Tally counts results.
type Tally struct {
	N                                          int
	All, Color, Shape, Place, Size, Background int
}

// Add counts one result.
func (t *Tally) Add(r Result) {
	t.N++
	for _, part := range []struct {
		count *int
		right bool
	}{
		{&t.All, r.All()}, {&t.Color, r.Color}, {&t.Shape, r.Shape}, {&t.Place, r.Place}, {&t.Size, r.Size}, {&t.Background, r.Background},
	} {
		if part.right {
			*part.count++
		}
	}
}

// Share returns the share of pictures that are all right, 0 to 1.
func (t Tally) Share() float64 { return float64(t.All) / float64(max(1, t.N)) }

// A Table counts results of prompts by what they ask for.
type Table struct {
	All     Tally
	New     Tally    // scenes of pairs that training has shown
	Unseen  Tally    // scenes with a pair that it has not
	Objects [3]Tally // scenes of one, two and three objects
}

// Add counts the result of one prompt.
func (t *Table) Add(p Prompt, r Result) {
	t.All.Add(r)
	if p.Unseen {
		t.Unseen.Add(r)
	} else {
		t.New.Add(r)
	}
	t.Objects[len(p.Scene.Objects)-1].Add(r)
}

// Write prints percentages.
func (t Table) Write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "prompts\tn\tall right\tcolor\tshape\tplace\tsize\tbackground\t")
	for _, line := range []struct {
		name  string
		tally Tally
	}{
		{"all", t.All}, {"new scenes", t.New}, {"unseen pairs", t.Unseen},
		{"one shape", t.Objects[0]}, {"two shapes", t.Objects[1]}, {"three shapes", t.Objects[2]},
	} {
		c := line.tally
		fmt.Fprintf(tab, "%s\t%d%s\t\n", line.name, c.N, percentages(c.N, c.All, c.Color, c.Shape, c.Place, c.Size, c.Background))
	}
	return tab.Flush()
}

func percentages(n int, counts ...int) string {
	var b strings.Builder
	for _, count := range counts {
		fmt.Fprintf(&b, "\t%.1f", 100*float64(count)/float64(max(1, n)))
	}
	return b.String()
}
