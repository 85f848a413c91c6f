package sampler

import (
	"fmt"
	"math"
	"slices"
)

// spaced returns the timesteps of n steps, falling, as most classes space them.
func (s *settings) spaced(n int) ([]float64, error) {
	train := s.NumTrainTimesteps
	switch s.TimestepSpacing {
	case leading:
		if n > train {
			return nil, fmt.Errorf("%d steps with `timestep_spacing` %q, want at most `num_train_timesteps`, %d", n, leading, train)
		}
		return multiples(n, train/n, s.StepsOffset), nil
	case trailing:
		return trailed(train, train, n), nil
	default:
		return falling(linspace(0, float64(train-1), n)), nil
	}
}

// spacedBeyond returns the timesteps of n steps as the DPM-Solver family, UniPC
// and DEIS space them: as if there were one step more, which is left out.
// Those beyond last, where there is next to no signal, are left out too.
func (s *settings) spacedBeyond(last, n int) ([]float64, error) {
	switch s.TimestepSpacing {
	case leading:
		if n >= last {
			return nil, fmt.Errorf("%d steps with `timestep_spacing` %q, want fewer than `num_train_timesteps`, %d", n, leading, last)
		}
		return multiples(n+1, last/(n+1), s.StepsOffset)[:n], nil
	case trailing:
		return trailed(last, s.NumTrainTimesteps, n), nil
	default:
		return rounded(falling(linspace(0, float64(last-1), n+1)))[:n], nil
	}
}

// multiples returns offset, offset+step, .. falling: n of them.
func multiples(n, step, offset int) []float64 {
	t := make([]float64, n)
	for i := range t {
		t[i] = float64((n-1-i)*step + offset)
	}
	return t
}

// trailed counts down from last in steps of train/n, and takes one off. It
// steps as numpy's arange does, whose rounding gives one timestep too many
// for some n, 61 of 1000 among them: that one is -1.
func trailed(last, train, n int) []float64 {
	step := -float64(train) / float64(n)
	count := int(math.Ceil(-float64(last) / step))
	second := float64(last) + step
	step = second - float64(last)
	t := make([]float64, count)
	for i := range t {
		t[i] = math.RoundToEven(float64(last)+float64(i)*step) - 1
	}
	return t
}

// linspace is numpy's: n numbers from a to b.
func linspace(a, b float64, n int) []float64 {
	x := make([]float64, n)
	if n == 1 {
		x[0] = a
		return x
	}
	step := (b - a) / float64(n-1)
	for i := range x {
		x[i] = float64(float64(i)*step) + a
	}
	x[n-1] = b
	return x
}

func falling(x []float64) []float64 {
	slices.Reverse(x)
	return x
}

func rounded(x []float64) []float64 {
	for i, v := range x {
		x[i] = math.RoundToEven(v)
	}
	return x
}

// single rounds to float32, which is what the network gets in the end.
func single(x []float64) []float64 {
	for i, v := range x {
		x[i] = float64(float32(v))
	}
	return x
}
