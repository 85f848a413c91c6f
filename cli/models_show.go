package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/pipeline/job"
)

type modelShowCommand struct {
	Model string `arg:"" placeholder:"NAME" help:"One of \"darkroom models\"."`
	modelFlags
}

func (c modelShowCommand) Run(streams Streams) error {
	library, err := c.library(slog.New(slog.DiscardHandler))
	if err != nil {
		return usage(err)
	}
	d, err := library.Details(c.Model)
	if err != nil {
		return usage(err)
	}
	return printDetails(streams.Out, d, d.Entry.Where())
}

// printDetails prints a model, a property a line, and then its graphs' ports.
func printDetails(w io.Writer, d pipeline.Details, where string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(table, what+"\t"+format+"\n", args...) }
	row("model", "%s", d.Name)
	row("kind", "%s", kindName(d.Model))
	row("where", "%s", where)
	row("digest", "%s", d.Digest)
	if d.Size < 1e6 {
		row("size", "%.1f kB", float64(d.Size)/1e3)
	} else {
		row("size", "%.1f MB", float64(d.Size)/1e6)
	}
	switch d.Kind {
	case job.PipelineModel:
		row("family", "%s", d.Family)
		row("defaults", "%s", summary(d.Model))
		row("sizes", "multiples of %d", d.Multiple)
	case job.LoRAModel:
		row("parts", "%s", strings.Join(d.Parts, ", "))
		row("layers", "%d", d.Layers)
		row("rank", "%s", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(d.Ranks)), ", "), "[]"))
	case job.EmbeddingModel:
		row("token", "%s", d.Token)
		row("vectors", "%d, of %s numbers", d.Vectors, strings.Trim(fmt.Sprint(d.EncoderWidths), "[]"))
	}
	if d.TextWidth > 0 {
		row("text", "%d numbers a token", d.TextWidth)
	}
	if d.Channels > 0 {
		row("latent", "%d channels", d.Channels)
	}
	if d.Scale > 0 {
		row("scale", "%gx", d.Scale)
	}
	for _, graph := range d.Graphs {
		for _, port := range graph.Inputs {
			row(graph.File, "in\t%s\t%v\t%s", port.Name, port.Type, shape(port.Dims))
		}
		for _, port := range graph.Outputs {
			row(graph.File, "out\t%s\t%v\t%s", port.Name, port.Type, shape(port.Dims))
		}
	}
	return table.Flush()
}

// shape writes a port's dimensions, with a ? for those that are left open.
func shape(dims []int64) string {
	texts := make([]string, len(dims))
	for i, n := range dims {
		texts[i] = fmt.Sprint(n)
		if n < 0 {
			texts[i] = "?"
		}
	}
	return cmp.Or(strings.Join(texts, " x "), "scalar")
}
