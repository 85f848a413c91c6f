package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/darkroom/darkroom/pipeline/engine"
)

// dummy is a model that takes no memory.
type dummy string

func (dummy) close() {}

func want(name string, size int64, load func() (loaded, error)) wanted {
	return wanted{name, func() (found, error) { return found{name, size, load}, nil }}
}

// TestNobodyWaitsForEver has two users of one model always overlap: the one of
// another model, for which there is no room beside it, gets his turn.
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10, slog.New(slog.DiscardHandler))
		ask := func(ctx context.Context, name string) (func(), error) {
			load := func() (loaded, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if len(s.models) != 1 {
					t.Errorf("%s is loaded beside a model that is in use", name)
				}
				return dummy(name), nil
			}
			_, giveBack, err := s.borrow(ctx, want(name, 10, load))
			return giveBack, err
		}
		back, err := ask(t.Context(), "busy")
		if err != nil {
			t.Fatal(err)
		}
		served := false
		go func() {
			back, err := ask(t.Context(), "rare")
			if err != nil {
				t.Error(err)
				return
			}
			served = true
			back()
		}()
		impatient, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("the lamp went out")
		go func() {
			if _, err := ask(impatient, "other"); !errors.Is(err, reason) {
				t.Errorf("cancelled while it waits: %v", err)
			}
		}()
		synctest.Wait()
		cancel(reason)
		overtaken := 0
		for ; !served && overtaken < 10*patience; overtaken++ {
			next := make(chan func(), 1)
			go func() {
				back, err := ask(t.Context(), "busy")
				if err != nil {
					t.Error(err)
				}
				next <- back
			}()
			synctest.Wait() // the next has the model, or waits
			back()
			back = <-next
		}
		back()
		if !served || overtaken > patience+2 {
			t.Errorf("served %v after %d others", served, overtaken)
		}
		if len(s.waiting) != 0 || len(s.models) != 1 {
			t.Errorf("%d wait, %d models are there", len(s.waiting), len(s.models))
		}
	})
}

// TestFailedLoad is tried again by the next, and takes no room.
func TestFailedLoad(t *testing.T) {
	s := newShelf(10, slog.New(slog.DiscardHandler))
	for i := range 3 {
		_, _, err := s.borrow(t.Context(), want("x", 10, func() (loaded, error) { return nil, fmt.Errorf("load %d", i) }))
		if err == nil || err.Error() != fmt.Sprint("load ", i) || s.weight != 0 {
			t.Errorf("load %d: %v, and %d bytes are taken", i, err, s.weight)
		}
	}
}

// TestLoadThatNobodyWaitsFor goes on when who asked for it is cancelled, who is
// told so at once; the next gets what it loads. Until it is there nothing takes its
// room, and from a shelf that is closed it goes then.
func TestLoadThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10, slog.New(slog.DiscardHandler))
		var model closing
		loads, goOn, reason := 0, make(chan struct{}), errors.New("the lamp went out")
		slow := want("slow", 10, func() (loaded, error) { loads++; <-goOn; return &model, nil })
		leave := func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancelled := make(chan error)
			go func() {
				_, _, err := s.borrow(ctx, slow)
				cancelled <- err
			}()
			synctest.Wait()
			cancel(reason)
			if err := <-cancelled; !errors.Is(err, reason) {
				t.Errorf("%v, want %v", err, reason)
			}
		}
		leave()
		others := 0
		for _, one := range []wanted{slow, want("other", 10, func() (loaded, error) { return dummy("other"), nil })} {
			go func() {
				_, giveBack, err := s.borrow(t.Context(), one)
				if err != nil {
					t.Error(err)
					return
				}
				others++
				giveBack()
			}()
			synctest.Wait()
		}
		if others != 0 {
			t.Errorf("%d have got their models before the first is loaded", others)
		}
		close(goOn)
		synctest.Wait()
		if loads != 1 || others != 2 || model.closed != 1 {
			t.Errorf("%d loads, %d have got their models, and the first is closed %d times; want 1, 2 and 1", loads, others, model.closed)
		}

		goOn = make(chan struct{})
		leave()
		s.close()
		close(goOn)
		synctest.Wait()
		if loads != 2 || model.closed != 2 || len(s.models) != 0 {
			t.Errorf("%d loads, closed %d times, and %d models are there", loads, model.closed, len(s.models))
		}
	})
}

// TestPanickedLoad ends the render that asked for the model, not the process: the
// next one loads it.
func TestPanickedLoad(t *testing.T) {
	s := newShelf(10, slog.New(slog.DiscardHandler))
	_, _, err := s.borrow(t.Context(), want("x", 10, func() (loaded, error) { panic("a strange file") }))
	panicked, ok := errors.AsType[*engine.PanicError](err)
	if !ok || panicked.Value != "a strange file" || !strings.Contains(string(panicked.Stack), "TestPanickedLoad") || !strings.HasPrefix(err.Error(), "loading x: ") || s.weight != 0 {
		t.Errorf("%v, and %d bytes are taken", err, s.weight)
	}
	models, giveBack, err := s.borrow(t.Context(), want("x", 10, func() (loaded, error) { return dummy("x"), nil }))
	if err != nil || models[0] != dummy("x") {
		t.Fatalf("after it: %v, %v", models, err)
	}
	giveBack()
}

// TestBorrowSeveral lends what one render needs all at once: two that each have a
// part of what the other needs would wait for ever.
func TestBorrowSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10, slog.New(slog.DiscardHandler))
		loads := map[string]int{}
		borrow := func(names ...string) func() {
			var wants []wanted
			for _, name := range names {
				wants = append(wants, want(name, 4, func() (loaded, error) {
					s.mu.Lock()
					defer s.mu.Unlock()
					loads[name]++
					return dummy(name), nil
				}))
			}
			models, giveBack, err := s.borrow(t.Context(), wants...)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range models {
				if m != dummy(names[i]) {
					t.Errorf("borrowed %v, wanted %v", m, names)
				}
			}
			return giveBack
		}
		back := borrow("a", "x", "a")
		ended := make(chan bool, 2)
		for _, names := range [][]string{{"b", "x"}, {"a", "y"}} {
			go func() {
				borrow(names...)()
				ended <- true
			}()
		}
		synctest.Wait()
		if len(ended) != 0 || len(s.models) != 2 {
			t.Errorf("%d of two others got theirs beside one that fills the memory; %d models are there", len(ended), len(s.models))
		}
		back()
		<-ended
		<-ended
		if s.weight != 4*int64(len(s.models)) || s.weight > 10 || loads["a"]+loads["x"] != 3 {
			t.Errorf("%d bytes of %d models, loads %v", s.weight, len(s.models), loads)
		}
		for _, one := range s.models {
			if one.users != 0 {
				t.Errorf("%s has %d users at the end", one.name, one.users)
			}
		}
	})
}

// TestFailedBeside gives back what was loaded beside what could not be.
func TestFailedBeside(t *testing.T) {
	s := newShelf(10, slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	_, _, err := s.borrow(t.Context(), want("good", 4, func() (loaded, error) { return dummy("good"), nil }), want("bad", 4, func() (loaded, error) { return nil, broken }))
	if !errors.Is(err, broken) || len(s.models) != 1 || s.models["good"].users != 0 || s.weight != 4 {
		t.Errorf("%v; %d models of %d bytes are there", err, len(s.models), s.weight)
	}
}

// closing is a model that counts how often it is closed.
type closing struct{ closed int }

func (c *closing) close() { c.closed++ }

// TestCloseUnderRenders closes a shelf of which a model is in use and another
// one is being loaded.
func TestCloseUnderRenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(0, slog.New(slog.DiscardHandler))
		models := map[string]*closing{"idle": {}, "used": {}, "coming": {}}
		gate := make(chan struct{})
		ask := func(name string) func() {
			_, giveBack, err := s.borrow(t.Context(), want(name, 10, func() (loaded, error) {
				if name == "coming" {
					<-gate
				}
				return models[name], nil
			}))
			if err != nil {
				t.Error(err)
			}
			return giveBack
		}
		ask("idle")()
		back := []func(){ask("used")}
		come := make(chan func())
		go func() { come <- ask("coming") }()
		synctest.Wait()
		s.close()
		for name, want := range map[string]int{"idle": 1, "used": 0, "coming": 0} {
			if n := models[name].closed; n != want {
				t.Errorf("the model %s is closed %d times, want %d", name, n, want)
			}
		}
		close(gate)
		for _, giveBack := range append(back, <-come) {
			giveBack()
		}
		s.close()
		for name, model := range models {
			if model.closed != 1 {
				t.Errorf("in the end, the model %s is closed %d times", name, model.closed)
			}
		}
	})
}
