package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
)

// batchFlags say which lines a batch has.
type batchFlags struct {
	Batch string `arg:"" optional:"" placeholder:"BATCH.jsonl" help:"A file with one job, a JSON object, a line; - reads them from stdin."`
	Name  string `help:"The batch's name; left out: the file's without its extension."`
	Seed  uint64 `help:"The batch's seed: a line without a seed of its own has this plus its index. Left out: 0."`

	Line lineFlags `embed:"" group:"One prompt instead of a batch file:"`
}

// lineFlags are a batch's one line, with the names of the job's fields.
type lineFlags struct {
	Prompt         *string  `json:"prompt,omitempty" short:"p" placeholder:"TEXT" help:"What the picture shows."`
	NegativePrompt *string  `json:"negative_prompt,omitempty" placeholder:"TEXT" help:"What it doesn't show."`
	Model          *string  `json:"model,omitempty" placeholder:"NAME" help:"One of \"darkroom models\"."`
	N              *int     `json:"n,omitempty" placeholder:"N" help:"How many pictures, with a seed each."`
	Steps          *int     `json:"steps,omitempty" placeholder:"N" help:"1 to 1000."`
	Sampler        *string  `json:"sampler,omitempty" placeholder:"NAME" help:"One of \"darkroom samplers\"."`
	Schedule       *string  `json:"schedule,omitempty" placeholder:"NAME" help:"normal, karras, exponential or beta."`
	GuidanceScale  *float64 `json:"guidance_scale,omitempty" placeholder:"X" help:"How closely the prompt is followed; 1 is off."`
	Kind           *string  `json:"kind,omitempty" kong:"-"`
	Image          *string  `json:"image,omitempty" placeholder:"FILE" help:"A picture to edit or to enlarge, in this folder."`
	Mask           *string  `json:"mask,omitempty" placeholder:"FILE" help:"Where it is painted anew: where this picture is white, or transparent."`
	Strength       *float64 `json:"strength,omitempty" placeholder:"X" help:"How much it changes, up to 1."`
	Scale          *float64 `json:"scale,omitempty" placeholder:"X" help:"Makes the picture so many times as large, instead of editing it; no prompt is needed."`
	Width          *int     `json:"width,omitempty" placeholder:"PIXELS"`
	Height         *int     `json:"height,omitempty" placeholder:"PIXELS"`
	Format         *string  `json:"format,omitempty" placeholder:"NAME" help:"png, jpeg or npy (the latent)."`
}

// checkFiles refuses pictures that a line could not name.
func (l lineFlags) checkFiles() error {
	for _, f := range []struct {
		flag string
		path *string
	}{{"--image", l.Image}, {"--mask", l.Mask}} {
		if f.path != nil && !filepath.IsLocal(*f.path) {
			return fmt.Errorf("%s %q: want the path of a file in this folder, such as in/photo.jpg", f.flag, *f.path)
		}
	}
	return nil
}

// promptName is the batch's name where there is no batch file.
const promptName = "prompt"

// input opens the batch file, or makes one of the prompt, and settles the
// batch's name and what messages call its lines.
func (c *batchFlags) input(stdin io.Reader) (in io.ReadCloser, source string, err error) {
	prompted := !reflect.ValueOf(c.Line).IsZero()
	name := ""
	switch {
	case c.Batch == "" && c.Line.Prompt == nil && (c.Line.Image == nil || c.Line.Scale == nil):
		return nil, "", errors.New("no batch: name a batch file, or give a --prompt, or an --image and its --scale")
	case c.Batch == "":
		if err := c.Line.checkFiles(); err != nil {
			return nil, "", err
		}
		if c.Line.Scale != nil {
			c.Line.Kind = new(string(job.Upscale))
		} else if c.Line.Image != nil {
			c.Line.Kind = new(string(job.Edit))
		}
		line, err := json.Marshal(c.Line)
		if err != nil {
			return nil, "", fmt.Errorf("the prompt's flags: %w", err)
		}
		in, source, name = io.NopCloser(bytes.NewReader(line)), "--prompt", promptName
	case prompted:
		return nil, "", fmt.Errorf("--prompt and the flags of its group are for one picture without a batch file: with %s, they go into its lines", c.Batch)
	case c.Batch == "-":
		in, source, name = io.NopCloser(stdin), "stdin", "stdin"
	default:
		file, err := os.Open(c.Batch)
		if err != nil {
			return nil, "", fmt.Errorf("the batch file: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			file.Close()
			return nil, "", fmt.Errorf("the batch file: %s is a folder", c.Batch)
		}
		base := filepath.Base(c.Batch)
		in, source, name = file, c.Batch, strings.TrimSuffix(base, filepath.Ext(base))
	}
	if c.Name == "" {
		c.Name = name
	}
	return in, source, nil
}

// checkName says what is wrong with the batch's name, once it is settled.
func (c *batchFlags) checkName() error {
	if err := batch.CheckName(c.Name); err != nil {
		return fmt.Errorf("%w; choose one with --name", err)
	}
	return nil
}

// readError sorts the errors of a batch file that can't be read.
func readError(err error) error {
	if bad, ok := errors.AsType[*producer.BadBatch](err); ok {
		return usage(fmt.Errorf("nothing was begun, because of what is wrong here:\n%w", bad))
	}
	return err
}
