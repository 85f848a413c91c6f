package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/darkroom/darkroom/pipeline/job"
)

type modelsCommand struct {
	List modelListCommand `cmd:"" default:"withargs" help:"List the models that jobs may name."`
	Show modelShowCommand `cmd:"" help:"Show all that is known of a model."`
	Add  modelAddCommand  `cmd:"" help:"Check a model and copy it into a folder of models."`
}

type modelListCommand struct {
	modelFlags
}

func (c modelListCommand) Run(streams Streams) error {
	library, err := c.library(slog.New(slog.DiscardHandler))
	if err != nil {
		return usage(err)
	}
	table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tKIND\tDIGEST\tWHAT\tWHERE")
	var broken []error
	for _, entry := range library.Entries() {
		m, err := library.Model(entry.Name)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", m.Name, kindName(m), m.Digest[:12], summary(m), entry.Where())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return errors.Join(broken...)
}

func kindName(m job.Model) string { return cmp.Or(string(m.Kind), "pipeline") }

// summary tells in a few words what jobs must know of a model.
func summary(m job.Model) string {
	switch m.Kind {
	case job.PipelineModel:
		return fmt.Sprintf("%dx%d, %d steps, guidance %g, %s", m.Width, m.Height, m.Steps, m.GuidanceScale, cmp.Or(m.Sampler, "no sampler"))
	case job.ControlNetModel:
		return fmt.Sprintf("for texts of %d numbers a token", m.TextWidth)
	case job.UpscalerModel:
		if m.Scale == 0 {
			return ""
		}
		return fmt.Sprintf("%gx", m.Scale)
	case job.LoRAModel:
		return "changes " + strings.Join(m.Parts, ", ")
	case job.EmbeddingModel:
		return fmt.Sprintf("%s in a prompt, %s", m.Token, plural(m.Vectors, "token"))
	}
	return ""
}
