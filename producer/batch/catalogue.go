package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/spelling"
	"github.com/darkroom/darkroom/storage"
)

// Catalogue is what a store tells of the models that its consumers serve, so
// that a producer without the models can check lines and pin their weights. It
// is one object a model, models/<name>@<digest>.json, written by each consumer
// when it starts.
type Catalogue struct{ entries []entry }

// entry is an object of the catalogue.
type entry struct {
	job.Model
	Served time.Time `json:"served"` // when a consumer last began to serve it

	broken error // why its object can't be read; nil where it can
}

const catalogueFolder = "models/"

// PutModel tells that a consumer serves a model from now on.
func PutModel(ctx context.Context, store storage.Store, m job.Model) error {
	data, err := json.Marshal(entry{Model: m, Served: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = store.Put(ctx, catalogueFolder+m.Ref()+".json", append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("telling the store of model %s: %w", m.Name, err)
	}
	return nil
}

// ReadCatalogue reads a store's catalogue. What is wrong with one object is
// told to who asks for its model.
func ReadCatalogue(ctx context.Context, store storage.Store) (*Catalogue, error) {
	c := &Catalogue{}
	for name, err := range store.List(ctx, catalogueFolder) {
		var data []byte
		if err == nil {
			data, err = store.Get(ctx, name)
		}
		if isAbsent(err) {
			continue // taken away just now
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, fmt.Errorf("reading the store's catalogue of models: %w", err)
		}
		c.entries = append(c.entries, readEntry(name, data, err))
	}
	return c, nil
}

// readEntry reads an object, which the store may have found damaged.
func readEntry(name string, data []byte, err error) entry {
	var e entry
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err == nil && name != catalogueFolder+e.Ref()+".json" {
		err = errors.New("its name isn't that of the model in it")
	}
	if err == nil {
		return e
	}
	e = entry{broken: damaged(name, err, "and a consumer that serves the model writes it anew")}
	e.Name, e.Digest, _ = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, catalogueFolder), ".json"), "@")
	return e
}

// Model returns what jobs must know of a model. A ref is a name, for the
// weights that were served last, or name@digest with the digest's first digits
// or all of them.
func (c *Catalogue) Model(ref string) (job.Model, error) {
	name, pin, _ := strings.Cut(ref, "@")
	var found *entry
	var names []string
	for i, e := range c.entries {
		if e.Name == name && strings.HasPrefix(e.Digest, strings.ToLower(pin)) {
			if e.broken != nil { // it may be the last one served
				return job.Model{}, e.broken
			}
			if found == nil || e.Served.After(found.Served) {
				found = &c.entries[i]
			}
		}
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	switch {
	case found != nil:
		return found.Model, nil
	case len(names) == 0:
		return job.Model{}, errors.New("no consumer has told the store of any model yet")
	}
	hint := "they serve " + strings.Join(names, ", ")
	if near := spelling.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return job.Model{}, fmt.Errorf("no consumer of this store serves %q; %s", ref, hint)
}
