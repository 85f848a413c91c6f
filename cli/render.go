package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/darkroom/darkroom/consumer"
	"github.com/darkroom/darkroom/pipeline"
	"github.com/darkroom/darkroom/producer"
	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

type renderCommand struct {
	Batch  string `arg:"" optional:"" placeholder:"BATCH.jsonl" help:"A file with one job, a JSON object, a line; - reads them from stdin."`
	Output string `short:"o" required:"" placeholder:"DIR" help:"The folder that the pictures go to, below the batch's name."`
	Name   string `help:"The batch's name; left out: the file's without its extension."`
	Retry  bool   `help:"Give lines that ended without a picture another try."`
	Seed   uint64 `help:"The batch's seed: a line without a seed of its own has this plus its index."`

	Line lineFlags `embed:"" group:"One prompt instead of a batch file:"`

	modelFlags
	runtimeFlags
	Redis string `env:"DARKROOM_REDIS" placeholder:"URL" help:"Queue the jobs in this Redis (redis://, rediss:// or unix://) instead of inside of the process."`
	Jobs  int    `placeholder:"N" help:"Pictures that are rendered at once; left out: what fills the device."`
	logFlags
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
	Width          *int     `json:"width,omitempty" placeholder:"PIXELS"`
	Height         *int     `json:"height,omitempty" placeholder:"PIXELS"`
	Format         *string  `json:"format,omitempty" placeholder:"NAME" help:"png, jpeg or npy (the latent)."`
}

// promptName is the batch's name where there is no batch file.
const promptName = "prompt"

// patience is how long a render waits for a disk or a Redis that fails before
// it gives up: all that is done is kept, and the same command goes on.
const patience = 10 * time.Second

func (c *renderCommand) Run(ctx context.Context, streams Streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	in, source, err := c.input(streams.In)
	if err != nil {
		return usage(err)
	}
	defer in.Close()
	screen := newScreen(streams)
	log := c.logger(screen)
	library, err := c.library(log)
	if err != nil {
		return usage(err)
	}
	manifest, err := producer.Read(ctx, in, producer.Config{
		Name: c.Name, Source: source, Seed: c.Seed, Darkroom: Version, Models: library,
	})
	if err != nil {
		return readError(ctx, err)
	}
	defer manifest.Close()

	runtime, err := c.openRuntime(log)
	if err != nil {
		return err
	}
	store, err := storage.Open(c.Output)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Lock(); err != nil {
		return err
	}
	queue, err := batch.OpenQueue(ctx, c.Redis, queueName(store.Dir()))
	if err != nil {
		return err
	}
	defer queue.Close()
	b, err := manifest.Put(ctx, store)
	if err == nil && c.Retry {
		_, err = batch.Retry(ctx, store, b)
	}
	if err != nil {
		return cutOff(ctx, fmt.Errorf("%s: %w", store.Dir(), err))
	}
	renderer := pipeline.New(runtime, library, Version)
	defer renderer.Close()

	if c.Jobs == 0 {
		c.Jobs = runtime.Device().Jobs()
	}
	var lost int
	counts, err := consumer.Run(ctx, consumer.Config{
		Store: store, Queue: queue, Renderer: renderer, Jobs: c.Jobs, Patience: patience, Log: log,
		Opened: func(found batch.Found) {
			lost = found.Losses
			screen.begin(b.Name, found, store)
		},
		Committed: func(e consumer.Event) { screen.committed(e, store) },
		Step:      func(_, step, steps int) { screen.step(step, steps) },
	}, b)
	screen.end()
	return ending(ctx, err, counts, lost, store, b)
}

// ending is what a run comes to, with its exit status.
func ending(ctx context.Context, err error, counts batch.Counts, lost int, store *storage.Folder, b batch.Batch) error {
	switch {
	case ctx.Err() != nil && counts.Open() > 0:
		return &exitError{exitCutOff, fmt.Errorf("cut off with %d of %d lines done; the same command goes on from there", counts.Lines-counts.Open(), counts.Lines)}
	case err != nil:
		return fmt.Errorf("%s: %w\nwhat is done is kept: mend it, and the same command goes on", store.Dir(), err)
	case counts.Failed > 0:
		return &exitError{exitDeadLetters, fmt.Errorf("%d of %d lines have no picture: their records in %s say why; --retry gives them another try", counts.Failed, counts.Lines, store.Path(b.Name))}
	case lost > 0:
		return &exitError{exitDeadLetters, fmt.Errorf("%d of %d lines have lost their picture", lost, counts.Lines)}
	}
	return nil
}

// check finds what is wrong with the flags by themselves.
func (c *renderCommand) check() error {
	if scheme, _, ok := strings.Cut(c.Output, "://"); ok {
		return fmt.Errorf("--output %s: only folders are built yet, no %s stores", c.Output, scheme)
	}
	if c.Jobs < 0 {
		return fmt.Errorf("--jobs %d: want 1 or more, or leave it out", c.Jobs)
	}
	if c.Rows < 0 {
		return fmt.Errorf("--rows %d: want 1 or more, or leave it out", c.Rows)
	}
	return batch.CheckURL(c.Redis)
}

// input opens the batch file, or makes one of the prompt, and settles the
// batch's name and what messages call its lines.
func (c *renderCommand) input(stdin io.Reader) (in io.ReadCloser, source string, err error) {
	prompted := !reflect.ValueOf(c.Line).IsZero()
	name := ""
	switch {
	case c.Batch == "" && c.Line.Prompt == nil:
		return nil, "", errors.New("nothing to render: name a batch file, or give a --prompt")
	case c.Batch == "":
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
	if err := batch.CheckName(c.Name); err != nil {
		in.Close()
		return nil, "", fmt.Errorf("%w; choose one with --name", err)
	}
	return in, source, nil
}

// readError sorts the errors of a batch file that can't be read.
func readError(ctx context.Context, err error) error {
	if bad, ok := errors.AsType[*producer.BadBatch](err); ok {
		return usage(fmt.Errorf("nothing was begun, because of what is wrong here:\n%w", bad))
	}
	return cutOff(ctx, err)
}

// cutOff gives an error the status of a signal, where that is its cause.
func cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &exitError{exitCutOff, fmt.Errorf("cut off before the first picture: %w", err)}
	}
	return err
}

// queueName is a name that no render to another folder has: a run's queue is
// its own, in whatever Redis.
func queueName(dir string) string {
	host, _ := os.Hostname()
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	sum := sha256.Sum256([]byte(host + "\x00" + dir))
	return fmt.Sprintf("render-%x", sum[:8])
}
