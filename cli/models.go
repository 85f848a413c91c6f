package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
)

type modelsCommand struct {
	modelFlags
}

func (c modelsCommand) Run(streams Streams) error {
	library, err := c.library(slog.New(slog.DiscardHandler))
	if err != nil {
		return usage(err)
	}
	table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tDIGEST\tSIZE\tSTEPS\tGUIDANCE\tSAMPLER\tWHERE")
	var broken []error
	for _, entry := range library.Entries() {
		m, err := library.Model(entry.Name)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%dx%d\t%d\t%g\t%s\t%s\n", m.Name, m.Digest[:12], m.Width, m.Height, m.Steps, m.GuidanceScale, m.Sampler, entry.Where())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return errors.Join(broken...)
}
