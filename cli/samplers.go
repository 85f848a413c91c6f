package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

type samplersCommand struct{}

func (samplersCommand) Run(streams Streams) error {
	table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SAMPLER\tEVALUATIONS A STEP\tSCHEDULES\tWHAT IT IS")
	for _, name := range sampler.Names() {
		d, _ := sampler.Describe(name)
		schedules := "normal" + strings.Join(sampler.Schedules(name), " ") // the first, normal, is empty
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", name, d.Evaluations, schedules, d.Summary)
	}
	return table.Flush()
}
