package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/storage"
)

// Commit is the protocol by which a line of a batch ends as exactly one
// picture or one dead letter, whoever works on it and whatever is cut off
// when:
//
//	found                 event           action
//	no picture, no record the job starts  render; put picture if absent; put record if absent
//	picture, no record    the job starts  put a done record for that picture if absent
//	record                the job starts  nothing is left to do
//	a picture             put picture     the record describes what is there
//	a done record         put record      the first wins
//	a failed record,      put record,     delete it, put a done record if absent
//	  beside a picture      or a start
//	a picture             the job fails   put a done record for it if absent
//	no picture            the job fails   put a failed record if absent
//	a failed record       retry           delete it
//
// No picture is ever deleted, and no record but a failed one. So every order
// of events, with crashes between any two of them, ends in the same state.
// Each method may be called again after an error: it goes on where it was.
type Commit struct {
	Store storage.Store
	Batch Batch
}

// Start tells how a line stands: its record where it has one, nil where it is
// to be rendered. A picture without a record gets one.
func (c Commit) Start(ctx context.Context, l Line) (*Record, error) {
	r, err := c.Batch.ReadRecord(ctx, c.Store, l)
	switch {
	case err == nil && r.Status == Done:
		return &r, nil
	case err != nil && !isAbsent(err):
		return nil, err
	}
	found, err := c.found(ctx, l)
	if isAbsent(err) {
		if r.Status == Failed {
			return &r, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.put(ctx, l, found)
}

// Done puts a rendered picture and its record. The record that it returns is
// the one that is there: another's, where another was first.
func (c Commit) Done(ctx context.Context, l Line, p job.Picture, attempts int) (*Record, error) {
	r := newRecord(l, Done)
	r.picture(c.Batch.PictureName(l), p.Data)
	r.Width, r.Height = p.Width, p.Height
	r.Models, r.MadeWith, r.Timing, r.Attempts = p.Models, &p.MadeWith, p.Timing, attempts
	err := c.Store.PutIfAbsent(ctx, c.Batch.PictureName(l), p.Data)
	if errors.Is(err, storage.ErrExists) {
		// An earlier attempt's, or another's: the same bits, if all is well.
		var there Record
		if there, err = c.found(ctx, l); err == nil && there.SHA256 != r.SHA256 {
			r = there
		}
	}
	if err != nil {
		return nil, fmt.Errorf("putting a picture: %w", err)
	}
	return c.put(ctx, l, r)
}

// Fail ends a line for good: with a dead letter, unless its picture is there.
func (c Commit) Fail(ctx context.Context, l Line, f Failure) (*Record, error) {
	found, err := c.found(ctx, l)
	if err == nil {
		return c.put(ctx, l, found)
	}
	if !isAbsent(err) {
		return nil, err
	}
	r := newRecord(l, Failed)
	r.Class, r.Errors, r.Attempts = f.Class, f.Errors[max(0, len(f.Errors)-3):], f.Attempts
	r.Error = r.Errors[len(r.Errors)-1]
	return c.put(ctx, l, r)
}

// Retry takes back a dead letter, so that the line can be enqueued again, and
// tells whether there was one.
func (c Commit) Retry(ctx context.Context, l Line) (bool, error) {
	r, err := c.Batch.ReadRecord(ctx, c.Store, l)
	if isAbsent(err) || err == nil && r.Status != Failed {
		return false, nil
	}
	if err == nil {
		err = c.Store.Delete(ctx, c.Batch.RecordName(l))
	}
	return err == nil, err
}

// put puts a record if there is none. A failed one that is there gives way to
// a done one, whose picture is there.
func (c Commit) put(ctx context.Context, l Line, r Record) (*Record, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing a record: %w", err)
	}
	data = append(data, '\n')
	name := c.Batch.RecordName(l)
	for {
		err := c.Store.PutIfAbsent(ctx, name, data)
		if err == nil {
			return &r, nil
		}
		if !errors.Is(err, storage.ErrExists) {
			return nil, fmt.Errorf("putting a record: %w", err)
		}
		there, err := c.Batch.ReadRecord(ctx, c.Store, l)
		switch {
		case isAbsent(err): // a retry took it back just now
		case err != nil:
			return nil, err
		case there.Status == Done || r.Status == Failed:
			return &there, nil
		default:
			if err := c.Store.Delete(ctx, name); err != nil {
				return nil, fmt.Errorf("deleting a dead letter beside its picture: %w", err)
			}
		}
	}
}

// found describes the picture that is there; [storage.ErrNotFound] if none is.
func (c Commit) found(ctx context.Context, l Line) (Record, error) {
	data, err := c.Store.Get(ctx, c.Batch.PictureName(l))
	if err != nil {
		return Record{}, fmt.Errorf("looking for the picture: %w", err)
	}
	if !imaging.Whole(data, Ext(l.Spec.Format)) {
		err := fmt.Errorf("%d bytes are no whole %s file", len(data), Ext(l.Spec.Format))
		return Record{}, fmt.Errorf("a picture without a record: %w", damaged(c.Batch.PictureName(l), err, "and run again: it is rendered anew"))
	}
	return c.describe(l, data), nil
}

// describe is the record of a picture by somebody else, or from before a
// crash, of which nothing is known but its bytes and its job.
func (c Commit) describe(l Line, data []byte) Record {
	r := newRecord(l, Done)
	r.picture(c.Batch.PictureName(l), data)
	r.Width, r.Height, r.MadeWith = imaging.Inspect(data)
	if r.Width == 0 { // a latent
		r.Width, r.Height = l.Spec.Width, l.Spec.Height
	}
	r.Models, r.Attempts = l.Spec.Models(), 1
	return r
}

func (r *Record) picture(name string, data []byte) {
	sum := sha256.Sum256(data)
	r.File, r.SHA256 = name[strings.LastIndexByte(name, '/')+1:], hex.EncodeToString(sum[:])
}
