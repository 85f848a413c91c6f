package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// every is one plan of every sampler, and of those configurations that carry
// more from step to step.
func every(t testing.TB) map[string]func() *Plan {
	plans := map[string]func() *Plan{}
	add := func(label, name, schedule, config string, options Options) {
		plans[label] = func() *Plan {
			c, err := ParseConfig([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := New(name, schedule, c, options)
			if err != nil {
				t.Fatal(err)
			}
			return plan
		}
	}
	const latent = `{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "skip_prk_steps": true}`
	for _, name := range Names() {
		schedules := Schedules(name)
		add(name, name, schedules[len(schedules)-1], latent, Options{Steps: 7, Eta: .5, Seed: 3})
	}
	add("pndm with Runge-Kutta", "pndm", "", `{}`, Options{Steps: 7})
	for _, name := range []string{"dpmpp_2s", "dpmpp_2m", "unipc", "deis"} {
		add(name+" of order 3", name, "karras", `{"solver_order": 3, "sigma_min": 0.1, "thresholding": true}`, Options{Steps: 8})
	}
	return plans
}

// begin returns the state that a test's run begins with.
func begin(p *Plan, at int) *State {
	random := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, latentSize)
	for i := range x {
		x[i] = float32(random.NormFloat64() * p.InitNoiseSigma())
	}
	numbers := make([]float32, 64*latentSize)
	for i := range numbers {
		numbers[i] = float32(random.NormFloat64())
	}
	return p.Begin(x, at, &tape{numbers: numbers})
}

// TestPickUp stops every sampler after every evaluation, and in the middle of
// it, writes its state down and goes on in a fresh plan.
func TestPickUp(t *testing.T) {
	stop := errors.New("stop")
	for label, plan := range every(t) {
		for _, from := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s/%d", label, from), func(t *testing.T) {
				whole := begin(plan(), from)
				numbers := whole.Noise.(*tape).numbers
				if err := plan().Run(t.Context(), whole, network{}, nil); err != nil {
					t.Fatal(err)
				}
				evaluations := plan().Evaluations()
				if whole.Done() != evaluations {
					t.Fatalf("%d evaluations done, want %d", whole.Done(), evaluations)
				}
				for k := from; k < evaluations; k++ {
					first := begin(plan(), from)
					err := plan().Run(t.Context(), first, network{}, func(done int) error {
						if done == k {
							return stop
						}
						return nil
					})
					if k > from && !errors.Is(err, stop) {
						t.Fatalf("stopped with %v", err)
					}
					if k == from { // nothing was done: begin again
						first = begin(plan(), from)
					}
					// A denoiser that fails must leave no trace.
					failing := denoiserFunc(func(context.Context, []float32, []float32, float64) error { return stop })
					if err := plan().Run(t.Context(), first, failing, nil); !errors.Is(err, stop) {
						t.Fatalf("failing denoiser: %v", err)
					}
					data, err := first.MarshalBinary()
					if err != nil {
						t.Fatal(err)
					}
					second := &State{Noise: &tape{numbers: numbers}}
					if err := second.UnmarshalBinary(data); err != nil {
						t.Fatal(err)
					}
					if err := plan().Run(t.Context(), second, network{}, nil); err != nil {
						t.Fatal(err)
					}
					if !slices.EqualFunc(whole.X, second.X, sameBits) {
						t.Errorf("stopped after %d evaluations: %v, want %v", k, second.X[:4], whole.X[:4])
					}
					if got, want := second.Noise.(*tape).at, whole.Noise.(*tape).at; got != want {
						t.Errorf("stopped after %d evaluations: %d numbers drawn, want %d", k, got, want)
					}
				}
			})
		}
	}
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

type denoiserFunc func(ctx context.Context, out, sample []float32, timestep float64) error

func (f denoiserFunc) Denoise(ctx context.Context, out, sample []float32, timestep float64) error {
	return f(ctx, out, sample, timestep)
}

func TestCancel(t *testing.T) {
	why := errors.New("the batch was cancelled")
	for label, plan := range every(t) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := begin(plan(), 0)
		err := plan().Run(ctx, s, network{}, func(done int) error {
			if done == 2 {
				cancel(why)
			}
			return nil
		})
		if !errors.Is(err, why) || s.Done() != 2 {
			t.Errorf("%s: %v after %d evaluations, want %v after 2", label, err, s.Done(), why)
		}
	}
}

func TestStateRefuses(t *testing.T) {
	plans := every(t)
	plan := plans["lms"]()
	s := begin(plan, 0)
	good, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, value byte) []byte {
		data := slices.Clone(good)
		data[at] = value
		return data
	}
	for name, data := range map[string][]byte{
		"nothing":          nil,
		"a header":         good[:stateHeader],
		"a byte less":      good[:len(good)-1],
		"a byte more":      append(slices.Clone(good), 0),
		"another version":  changed(0, 77),
		"begun too late":   changed(9, 3),
		"too long":         changed(9+8+3, 0xff),
		"too many buffers": changed(9+12+1, 1),
		"a long generator": changed(9+16+3, 0xff),
	} {
		if err := (&State{Noise: &tape{}}).UnmarshalBinary(data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := new(State).UnmarshalBinary(good); err == nil {
		t.Error("a generator's place without a generator: no error")
	}
	if err := plans["heun"]().Run(t.Context(), s, network{}, nil); err == nil {
		t.Error("another sampler's state: no error")
	}
	other := plans["euler_ancestral"]()
	if err := other.Run(t.Context(), other.Begin(make([]float32, 4), 0, nil), network{}, nil); err == nil {
		t.Error("no generator where one is drawn from: no error")
	}
}

func FuzzStateUnmarshal(f *testing.F) {
	s := begin(every(f)["heun"](), 0)
	good, err := s.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:stateHeader])
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &State{Noise: &tape{}}
		if s.UnmarshalBinary(data) != nil {
			return
		}
		written, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again := &State{Noise: &tape{}}
		if err := again.UnmarshalBinary(written); err != nil || again.Done() != s.Done() || !slices.EqualFunc(again.X, s.X, sameBits) {
			t.Errorf("written down and read again: %+v, %v, want %+v", again, err, s)
		}
	})
}

// BenchmarkStep shows that a step allocates nothing.
func BenchmarkStep(b *testing.B) {
	const size = 4 * 64 * 64
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			config, err := ParseConfig([]byte(`{"skip_prk_steps": true, "original_inference_steps": 1000}`))
			if err != nil {
				b.Fatal(err)
			}
			plan, err := New(name, "", config, Options{Steps: 900, Eta: 1})
			if err != nil {
				b.Fatal(err)
			}
			still := denoiserFunc(func(context.Context, []float32, []float32, float64) error { return nil })
			b.ReportAllocs()
			b.ResetTimer()
			for steps := 0; steps < b.N; {
				s := plan.Begin(make([]float32, size), 0, zeros{})
				enough := errors.New("enough")
				err := plan.Run(b.Context(), s, still, func(int) error {
					if steps++; steps >= b.N {
						return enough
					}
					return nil
				})
				if err != nil && !errors.Is(err, enough) {
					b.Fatal(err)
				}
			}
		})
	}
}

// zeros is a generator without randomness.
type zeros struct{}

func (zeros) Normal(dst []float32)           { clear(dst) }
func (zeros) MarshalBinary() ([]byte, error) { return nil, nil }
func (zeros) UnmarshalBinary([]byte) error   { return nil }

// TestStepAllocatesNothing compares a long run with a short one: what a run
// allocates, it allocates before its first step.
func TestStepAllocatesNothing(t *testing.T) {
	for label, plan := range every(t) {
		p := plan()
		still := denoiserFunc(func(context.Context, []float32, []float32, float64) error { return nil })
		x := make([]float32, latentSize)
		allocations := func(evaluations int) float64 {
			enough := errors.New("enough")
			return testing.AllocsPerRun(20, func() {
				err := p.Run(t.Context(), p.Begin(x, 0, zeros{}), still, func(done int) error {
					if done == evaluations {
						return enough
					}
					return nil
				})
				if err != nil && !errors.Is(err, enough) {
					t.Error(err)
				}
			})
		}
		if short, long := allocations(1), allocations(p.Evaluations()); long > short {
			t.Errorf("%s: %v allocations in a run of one evaluation, %v in one of %d", label, short, long, p.Evaluations())
		}
	}
}
