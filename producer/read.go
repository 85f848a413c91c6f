package producer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/producer/batch"
)

// Read reads a batch file of any length, one JSON object a line, checks every
// line, resolves it and expands it. Blank lines are passed over. Its memory
// doesn't grow with the batch but for 8 to 16 bytes a line that has an id. Bad
// lines give a [*BadBatch], which has them all. The Manifest is to be closed.
//
// When ctx is done, Read returns at once; a Read of in that blocks is left to
// itself.
func Read(ctx context.Context, in io.Reader, cfg Config) (*Manifest, error) {
	if err := batch.CheckName(cfg.Name); err != nil {
		return nil, err
	}
	spool, err := newSpool(cfg.TempDir)
	if err != nil {
		return nil, fmt.Errorf("keeping the manifest for now: %w", err)
	}
	inputs, err := openInputs(cfg.Folder, cfg.TempDir)
	if err != nil {
		return nil, errors.Join(err, spool.close())
	}
	m := &Manifest{Name: cfg.Name, Seed: cfg.Seed, Darkroom: cfg.Darkroom, Queue: cfg.Queue, spool: spool, inputs: inputs}
	if err := m.read(ctx, in, cfg); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// read goes in three steps: one goroutine cuts the file into chunks, some
// check them side by side, and this one gathers the results in order.
func (m *Manifest) read(ctx context.Context, in io.Reader, cfg Config) error {
	working, cancel := context.WithCancelCause(ctx)
	workers := runtime.GOMAXPROCS(0)
	todo := make(chan *chunk)             // to those who check
	order := make(chan *chunk, 2*workers) // the same chunks, to this one

	go func() {
		defer close(todo)
		defer close(order)
		next := make(chan int, 1)
		next <- 0
		err := chunks(in, func(c *chunk) bool {
			c.first, c.after, c.out = next, make(chan int, 1), make(chan result, 1)
			next = c.after
			return send(working, order, c) && send(working, todo, c)
		})
		if err != nil {
			cancel(fmt.Errorf("reading %s: %w", cfg.Source, err))
		}
	}()
	checker := checker{models: cfg.Models, inputs: m.inputs, known: map[string]func() (job.Model, error){}, seed: cfg.Seed}
	var checking sync.WaitGroup
	for range workers {
		checking.Go(func() {
			for {
				select {
				case c, ok := <-todo:
					if !ok {
						return
					}
					checker.check(working, c)
				case <-working.Done():
					return
				}
			}
		})
	}
	bad, err := m.gather(working, order, cfg.Source)
	if err == nil {
		err = context.Cause(working)
	}
	cancel(err)
	checking.Wait()
	if err != nil {
		return err
	}
	if err := m.spool.finish(); err != nil {
		return fmt.Errorf("keeping the manifest for now: %w", err)
	}
	duplicates, more, err := m.spool.duplicates(ctx)
	if err != nil {
		return err
	}
	bad.More += more
	bad.add(duplicates...)
	if m.Lines = m.spool.lines; len(bad.Lines) > 0 || m.Lines == 0 {
		return &bad
	}
	m.Digest = m.spool.digest()
	return nil
}

// gather takes the results of all chunks, in order.
func (m *Manifest) gather(ctx context.Context, order <-chan *chunk, source string) (bad BadBatch, err error) {
	bad.Source = source
	for {
		c, ok := receive(ctx, order)
		if !ok {
			return bad, nil
		}
		for {
			r, ok := receive(ctx, c.out)
			if !ok {
				break
			}
			if r.bad != nil {
				bad.add(r.bad...)
				continue
			}
			if room := batch.MaxLines - m.spool.lines; room < len(r.entries) {
				bad.add(BadLine{r.entries[room].number, job.Faults{{
					What: fmt.Sprintf("with it the batch has more than %d pictures", batch.MaxLines), Want: "want the rest in another batch",
				}}})
				return bad, &bad
			}
			if err := m.spool.write(r); err != nil {
				return bad, fmt.Errorf("keeping the manifest for now: %w", err)
			}
		}
	}
}

// checker decodes, resolves and expands lines, from several goroutines.
type checker struct {
	models Models
	inputs *inputs
	seed   uint64
	mu     sync.Mutex
	known  map[string]func() (job.Model, error)
}

// result is a part of what comes of a chunk: lines of the manifest, or bad
// lines of the batch file.
type result struct {
	text    []byte // lines of the manifest
	entries []entry
	bad     []BadLine
}

// entry is one line of the manifest.
type entry struct {
	number int // of its line in the batch file
	end    int // of its line in the result's text
	id     string
}

// resultBytes is about how large a result is: a line of n = 10,000 makes many.
const resultBytes = 256 << 10

func (k *checker) check(ctx context.Context, c *chunk) {
	defer close(c.out)
	var good []resolved
	var bad []BadLine
	count := 0
	for _, line := range c.lines {
		spec, faults := job.Decode(c.text[line.start:line.end])
		if line.length > job.MaxLine+2 {
			spec, faults = job.Spec{}, job.Faults{{What: fmt.Sprintf("a line of %d bytes", line.length), Want: "want at most 1 MiB"}}
		}
		if spec.Model != "" { // also beside faults: all of them are told at once
			var unfound, more job.Faults
			spec, unfound = spec.Locate(k.inputs.find)
			spec, more = spec.Resolve(k.model)
			faults = faults.And(unfound).And(more)
		}
		if faults != nil {
			bad = append(bad, BadLine{line.number, faults})
			continue
		}
		good = append(good, resolved{line.number, spec})
		count += max(spec.N, 1)
	}
	// The batch seed counts on from the chunk before; only now must it be known.
	index, ok := receive(ctx, c.first)
	if !ok {
		return
	}
	c.after <- index + count
	if bad != nil && !send(ctx, c.out, result{bad: bad}) {
		return
	}
	k.expand(ctx, c.out, good, index)
}

// resolved is a line that is well formed.
type resolved struct {
	number int
	spec   job.Spec
}

// expand sends the lines of the manifest that lines of the batch file stand
// for; index is that of the first one.
func (k *checker) expand(ctx context.Context, out chan<- result, lines []resolved, index int) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	var entries []entry
	flush := func() bool {
		ok := send(ctx, out, result{text: text.Bytes(), entries: entries})
		text, entries = bytes.Buffer{}, nil
		return ok
	}
	for _, line := range lines {
		expanded, faults := line.spec.Expand(k.seed + uint64(index))
		index += max(line.spec.N, 1)
		if faults != nil {
			send(ctx, out, result{bad: []BadLine{{line.number, faults}}})
			continue
		}
		for one := range expanded {
			start := text.Len()
			if err := encoder.Encode(one); err != nil {
				faults = job.Faults{{What: err.Error()}}
			} else if size := text.Len() - 1 - start; size > job.MaxLine {
				faults = job.Faults{{What: fmt.Sprintf("a line of %d bytes once all defaults are in it", size), Want: "want at most 1 MiB"}}
			}
			if faults != nil {
				text.Truncate(start)
				send(ctx, out, result{bad: []BadLine{{line.number, faults}}})
				break
			}
			entries = append(entries, entry{line.number, text.Len(), one.ID})
			if text.Len() >= resultBytes && !flush() {
				return
			}
		}
	}
	if len(entries) > 0 {
		flush()
	}
}

// model looks a model up, once for each name.
func (k *checker) model(ref string) (job.Model, error) {
	k.mu.Lock()
	ask, ok := k.known[ref]
	if !ok {
		ask = sync.OnceValues(func() (job.Model, error) { return k.models.Model(ref) })
		k.known[ref] = ask
	}
	k.mu.Unlock()
	return ask()
}

// send and receive tell whether they did so before ctx was done, and receive
// whether the channel is open.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

func receive[T any](ctx context.Context, from <-chan T) (v T, ok bool) {
	select {
	case v, ok = <-from:
	case <-ctx.Done():
	}
	return v, ok
}
