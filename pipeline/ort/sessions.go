package ort

import (
	"errors"
	"slices"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// maxSessions is how many sessions of a graph stay: as many as the calls that a
// UNet keeps. An engine for one more shape has all the weights once more.
const maxSessions = 16

// sessions are a graph's, by the shapes of their inputs. Where there are too many
// those go that no call is bound to, the one last used the longest ago first.
type sessions struct {
	mu  sync.Mutex
	all []*session // the last used at the end
}

// session is one that calls are bound to, or that waits for some.
type session struct {
	profile string
	calls   int // that are bound to it
	loaded  sync.Once
	*ort.DynamicAdvancedSession
	err error
}

// take returns the session of a profile, which load makes if need be. It stays at
// least until it is put back as often as it was taken.
func (s *sessions) take(profile string, load func() (*ort.DynamicAdvancedSession, error)) (*session, error) {
	s.mu.Lock()
	one := &session{profile: profile}
	if i := slices.IndexFunc(s.all, func(o *session) bool { return o.profile == profile }); i >= 0 {
		one = s.all[i]
		s.all = slices.Delete(s.all, i, i+1)
	}
	s.all = append(s.all, one)
	one.calls++
	idle := s.surplus()
	s.mu.Unlock()

	// Before one is made, which wants their memory.
	for _, old := range idle {
		old.Destroy()
	}
	one.loaded.Do(func() { one.DynamicAdvancedSession, one.err = load() })
	if one.err != nil {
		s.forget(one) // the next tries again
		return nil, one.err
	}
	return one, nil
}

// put gives a session back for one call.
func (s *sessions) put(one *session) {
	s.mu.Lock()
	one.calls--
	idle := s.surplus()
	s.mu.Unlock()
	for _, old := range idle {
		old.Destroy()
	}
}

// surplus takes sessions out that are too many.
func (s *sessions) surplus() (idle []*session) {
	for more := len(s.all) - maxSessions; more > 0; more-- {
		i := slices.IndexFunc(s.all, func(o *session) bool { return o.calls == 0 })
		if i < 0 {
			break
		}
		idle = append(idle, s.all[i])
		s.all = slices.Delete(s.all, i, i+1)
	}
	return idle
}

// forget takes out a session that couldn't be made.
func (s *sessions) forget(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *session) bool { return o == one })
}

// close ends all sessions. No call may be bound to any.
func (s *sessions) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, one := range s.all {
		errs = append(errs, one.Destroy())
	}
	s.all = nil
	return errors.Join(errs...)
}
