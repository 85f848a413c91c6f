package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/darkroom/darkroom/pipeline/engine"
)

// shelf keeps loaded models of all kinds within a budget of memory. Where one
// more doesn't fit, those that no render uses go, the one last used the longest
// ago first; where that isn't enough, who asks waits until renders have ended.
// Since they do, and since a render borrows all that it needs at once and nothing
// while it waits, all get theirs. What is larger than the budget is loaded when
// nothing else is in use.
type shelf struct {
	budget int64 // bytes; 0: all that are asked for stay
	log    *slog.Logger

	mu      sync.Mutex
	closed  bool
	models  map[string]*shelved // by key
	weight  int64               // of all of them
	clock   uint64
	waiting []*waiter
	change  chan struct{} // closed when a model is given back or goes
}

// wanted is a model that a render asks the shelf for.
type wanted struct {
	key  string // tells it from all others, as its digest does
	find func() (found, error)
}

// found is a model that isn't loaded yet.
type found struct {
	name string // for the log
	size int64  // of its files, bytes: about what the loaded model takes
	load func() (loaded, error)
}

// loaded is a model that can be used.
type loaded interface{ close() }

// shelved is a model on the shelf, or one that is being loaded.
type shelved struct {
	key    string
	name   string
	weight int64         // bytes
	users  int           // who loads it is one
	used   uint64        // when last, by the shelf's clock
	ready  chan struct{} // closed when model and err are there
	model  loaded
	err    error
}

// waiter is one who waits for room.
type waiter struct{ overtaken int }

// patience is how often who waits for room is overtaken by renders with models
// that are there. Many of those in a row save loads; without an end one job
// would wait for a whole batch of the others.
const patience = 64

func newShelf(budget int64, log *slog.Logger) *shelf {
	return &shelf{budget: budget, log: log, models: map[string]*shelved{}, change: make(chan struct{})}
}

// borrow returns models, loaded, in the order of what is wanted. They stay until
// giveBack, which must be called once.
func (s *shelf) borrow(ctx context.Context, wants ...wanted) (models []loaded, giveBack func(), err error) {
	there := make([]found, len(wants)) // what the shelf didn't have, once found
	var me *waiter
	defer func() {
		s.mu.Lock()
		s.leave(me)
		s.mu.Unlock()
	}()
	for {
		s.mu.Lock()
		unfound := s.missing(wants, there)
		if unfound < 0 && !s.mustWait(me) && s.room(wants, there, me) {
			all, mine := s.use(wants, there, me)
			s.mu.Unlock()
			s.load(all, mine, there)
			return s.await(ctx, all)
		}
		if unfound < 0 && me == nil {
			me = &waiter{}
			s.waiting = append(s.waiting, me)
		}
		change := s.change
		s.mu.Unlock()

		if unfound >= 0 {
			if there[unfound], err = wants[unfound].find(); err != nil {
				return nil, nil, err
			}
			continue
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// missing returns the first of the wanted that the shelf lacks and that is still
// to be found, or -1.
func (s *shelf) missing(wants []wanted, there []found) int {
	return slices.IndexFunc(wants, func(w wanted) bool {
		return s.models[w.key] == nil && there[slices.IndexFunc(wants, func(o wanted) bool { return o.key == w.key })].load == nil
	})
}

// mustWait tells whether someone has been overtaken so often that it is his turn.
func (s *shelf) mustWait(me *waiter) bool {
	return len(s.waiting) > 0 && s.waiting[0] != me && s.waiting[0].overtaken >= patience
}

// use takes a place on the shelf for each of the wanted, and tells which of them
// are the caller's to load.
func (s *shelf) use(wants []wanted, there []found, me *waiter) (all []*shelved, mine []int) {
	s.clock++
	for i, w := range wants {
		one, ok := s.models[w.key]
		if !ok {
			one = &shelved{key: w.key, name: there[i].name, weight: there[i].size, users: 1, ready: make(chan struct{})}
			s.models[w.key] = one
			s.weight += one.weight
			mine = append(mine, i)
		}
		one.used = s.clock
		one.users++
		all = append(all, one)
	}
	s.leave(me)
	for _, w := range s.waiting {
		w.overtaken++
	}
	return all, mine
}

// room makes room for what is wanted and not there, or tells that there is none
// yet, or that others wait for it.
func (s *shelf) room(wants []wanted, there []found, me *waiter) bool {
	var names []string // of what is to be loaded
	more := int64(0)
	mine := map[string]bool{}
	for i, w := range wants {
		if s.models[w.key] == nil && !mine[w.key] {
			names = append(names, there[i].name)
			more += there[i].size
		}
		mine[w.key] = true
	}
	switch {
	case names == nil:
		return true
	case len(s.waiting) > 0 && s.waiting[0] != me:
		return false
	case s.budget == 0:
		return true
	}
	var idle []string
	busy, used := int64(0), false
	for key, one := range s.models {
		used = used || one.users > 0
		if one.users > 0 || mine[key] {
			busy += one.weight
		} else {
			idle = append(idle, key)
		}
	}
	if used && busy+more > s.budget {
		return false
	}
	if busy+more > s.budget {
		s.log.Warn("a model is larger than the memory for models", "model", strings.Join(names, ", "), "bytes", busy+more, "memory", s.budget)
	}
	slices.SortFunc(idle, func(a, b string) int { return cmp.Compare(s.models[a].used, s.models[b].used) })
	last := uint64(0)
	for _, key := range idle {
		one := s.models[key]
		// What was last used together goes together: a part of a pipeline is of no
		// use by itself.
		if s.weight+more <= s.budget && one.used != last {
			break
		}
		last = one.used
		s.free(one)
		s.log.Info("a model makes room", "model", one.name, "for", strings.Join(names, ", "))
	}
	return true
}

// load begins to fill places on the shelf, all at a time, or to take them away: the
// next who asks tries again. It goes on where who asked doesn't wait for it.
func (s *shelf) load(all []*shelved, mine []int, there []found) {
	for _, i := range mine {
		go s.fill(all[i], there[i].load)
	}
}

func (s *shelf) fill(one *shelved, load func() (loaded, error)) {
	one.err = errors.New("the loading was left") // unless it comes to its end
	defer func() {
		// This goroutine is nobody's but the shelf's: a panic would end the process.
		if v := recover(); v != nil {
			one.err = fmt.Errorf("loading %s: %w", one.name, &engine.PanicError{Value: v, Stack: debug.Stack()})
		}
		s.mu.Lock()
		if one.err != nil {
			s.remove(one.key)
		}
		s.release(one)
		if s.closed && one.err == nil && one.users == 0 {
			s.free(one)
		}
		s.mu.Unlock()
		close(one.ready)
	}()
	one.model, one.err = load()
}

// release takes a user from each of the models.
func (s *shelf) release(all ...*shelved) {
	free := false
	for _, one := range all {
		one.users--
		free = free || one.users == 0
	}
	if free {
		s.changed()
	}
}

// await waits for models in use to be loaded.
func (s *shelf) await(ctx context.Context, all []*shelved) ([]loaded, func(), error) {
	giveBack := sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.release(all...)
	})
	var models []loaded
	for _, one := range all {
		select {
		case <-one.ready:
			if one.err != nil {
				giveBack()
				return nil, nil, one.err
			}
			models = append(models, one.model)
		case <-ctx.Done():
			giveBack()
			return nil, nil, context.Cause(ctx)
		}
	}
	return models, giveBack, nil
}

// leave takes one who waits out of the queue, if he is in it.
func (s *shelf) leave(me *waiter) {
	if i := slices.Index(s.waiting, me); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.changed()
	}
}

func (s *shelf) remove(key string) {
	s.weight -= s.models[key].weight
	delete(s.models, key)
	s.changed()
}

func (s *shelf) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// loaded tells how many models are on the shelf, and the weight of all parts. A
// pipeline counts by its VAE, of which it has one whatever it has learned.
func (s *shelf) loaded() (models int, weight int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.models {
		if _, p, isPart := strings.Cut(key, "/"); !isPart || part(p) == vaePart {
			models++
		}
	}
	return models, s.weight
}

// close frees all models but those in use: a render that is under way after all
// keeps what it has, or waits for. What is being loaded and nobody waits for is freed
// once it is there.
func (s *shelf) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, one := range s.models {
		if one.users == 0 {
			s.free(one)
		}
	}
}

func (s *shelf) free(one *shelved) {
	s.remove(one.key)
	one.model.close()
}
