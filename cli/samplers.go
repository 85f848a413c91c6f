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
		schedules := strings.Join(sampler.Schedules(name), " ")
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", name, d.Evaluations, strings.TrimSpace("normal "+schedules), d.Summary)
	}
	return table.Flush()
}
