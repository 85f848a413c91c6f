package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Data that are normally distributed with mean mu and variance 1 have an exact
// denoiser, and every latent an exact way to the data.
const mu = .7

// gaussian is that denoiser, predicting noise. It counts evaluations to know
// how noisy the latent is.
type gaussian struct {
	plan *Plan
	at   int
}

func (g *gaussian) Denoise(_ context.Context, out, sample []float32, _ float64) error {
	l := g.plan.levels[g.at]
	g.at++
	for i, v := range sample {
		x := float64(v) * l.scale
		clean := mu + l.alpha*(x-l.alpha*mu)/(l.alpha*l.alpha+l.sigma*l.sigma)
		out[i] = float32((x - l.alpha*clean) / l.sigma)
	}
	return nil
}

// exact is where the probability flow takes x from one level to another.
func exact(x float64, from, to level) float64 {
	a, b := from.sigma/from.alpha, to.sigma/to.alpha
	return to.alpha * (mu + (x/from.alpha-mu)*math.Sqrt((1+b*b)/(1+a*a)))
}

// gaussianError is how far a run is from the exact solution before its last
// step, which to a noise level of zero is of first order for all samplers.
func gaussianError(t *testing.T, name, config string, steps int) float64 {
	t.Helper()
	c, err := ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	schedules := Schedules(name)
	plan, err := New(name, schedules[min(1, len(schedules)-1)], c, Options{Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	start := []float32{-2, -1, -.3, .5, 1, 2.2}
	x := make([]float32, len(start))
	for i := range x {
		x[i] = start[i] * float32(plan.InitNoiseSigma())
	}
	s := plan.Begin(x, 0, nil)
	enough := errors.New("enough")
	last := plan.Evaluations() - 1
	err = plan.Run(t.Context(), s, &gaussian{plan: plan}, func(done int) error {
		if done == last {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	worst := 0.
	for i := range x {
		want := exact(float64(start[i]*float32(plan.InitNoiseSigma())), plan.levels[0], plan.levels[last])
		worst = max(worst, math.Abs(float64(s.X[i])-want))
	}
	return worst
}

// TestOrder halves the steps and sees by how much the error falls.
func TestOrder(t *testing.T) {
	const (
		two   = `{"skip_prk_steps": true, "clip_sample": false}`
		three = `{"solver_order": 3}`
		prk   = `{}`
	)
	for _, c := range []struct {
		name, config string
		steps        int
		low, high    float64
	}{
		{"ddim", two, 50, .8, 1.3},
		{"euler", two, 40, .8, 1.3},
		{"heun", two, 20, 1.8, 3.2},
		{"dpm_2", two, 20, 1.8, 3.2},
		{"lms", two, 20, 2.5, 5},
		{"pndm", two, 50, 1.5, 5},
		{"pndm", prk, 50, 1.5, 6},
		{"dpmpp_2s", two, 20, 1.8, 3.2},
		{"dpmpp_2m", two, 20, 1.8, 3.2},
		{"dpmpp_2m", three, 20, 2.1, 5},
		{"unipc", two, 20, 1.8, 5},
		{"unipc", three, 20, 2.5, 6},
		{"deis", two, 20, 1.8, 3.2},
		{"deis", three, 40, 2.5, 5},
	} {
		t.Run(fmt.Sprintf("%s/%s", c.name, c.config), func(t *testing.T) {
			coarse, fine := gaussianError(t, c.name, c.config, c.steps), gaussianError(t, c.name, c.config, 2*c.steps)
			order := math.Log2(coarse / fine)
			t.Logf("order %.2f: error %.2g in %d steps, %.2g in %d", order, coarse, c.steps, fine, 2*c.steps)
			if !(order >= c.low && order <= c.high) {
				t.Errorf("order %.2f, want %v .. %v", order, c.low, c.high)
			}
		})
	}
}

// normal is a generator for statistics.
type normal struct{ *rand.Rand }

func (n normal) Normal(dst []float32) {
	for i := range dst {
		dst[i] = float32(n.NormFloat64())
	}
}
func (normal) MarshalBinary() ([]byte, error) { return nil, nil }
func (normal) UnmarshalBinary([]byte) error   { return nil }

// TestDistribution lets the stochastic samplers draw from the data.
func TestDistribution(t *testing.T) {
	const size = 20000
	for _, c := range []struct {
		name  string
		steps int
		eta   float64
	}{
		{"ddpm", 200, 0}, {"ddim", 200, 1}, {"euler_ancestral", 200, 0}, {"dpm_2_ancestral", 60, 0},
		{"dpmpp_sde", 60, 0}, {"dpmpp_2m_sde", 60, 0}, {"dpmpp_3m_sde", 300, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := ParseConfig([]byte(`{"clip_sample": false}`))
			if err != nil {
				t.Fatal(err)
			}
			schedules := Schedules(c.name)
			plan, err := New(c.name, schedules[min(1, len(schedules)-1)], config, Options{Steps: c.steps, Eta: c.eta, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			random := normal{rand.New(rand.NewPCG(1, 1))}
			x := make([]float32, size)
			random.Normal(x)
			for i := range x {
				x[i] *= float32(plan.InitNoiseSigma())
			}
			if err := plan.Run(t.Context(), plan.Begin(x, 0, random), &gaussian{plan: plan}, nil); err != nil {
				t.Fatal(err)
			}
			mean, variance := moments(x)
			t.Logf("mean %.3f, variance %.3f", mean, variance)
			if math.Abs(mean-mu) > .03 || math.Abs(variance-1) > .06 {
				t.Errorf("mean %.3f and variance %.3f, want %v and 1", mean, variance, mu)
			}
		})
	}
}

func moments(x []float32) (mean, variance float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, variance / float64(len(x))
}

func TestBrownianPath(t *testing.T) {
	const size = 50001
	increment := func(seed uint64, interval int, length float64) []float32 {
		w := make([]float32, size)
		newBrownianPath(seed).extend(w, interval, length)
		return w
	}
	// One path, asked in another order and twice.
	path := newBrownianPath(9)
	for _, interval := range []int{5, 0, 5, 2} {
		w := make([]float32, size)
		path.extend(w, interval, .3)
		if relative(w, increment(9, interval, .3)) != 0 {
			t.Errorf("interval %d differs by the order of asking", interval)
		}
	}
	for _, length := range []float64{.01, 1, 7} {
		mean, variance := moments(increment(9, 1, length))
		if math.Abs(mean) > .02*math.Sqrt(length) || math.Abs(variance/length-1) > .03 {
			t.Errorf("length %v: mean %v, variance %v", length, mean, variance)
		}
	}
	for _, other := range [][]float32{increment(9, 2, 1), increment(10, 1, 1), increment(9+1<<32, 1, 1)} {
		product := 0.
		for i, v := range increment(9, 1, 1) {
			product += float64(v * other[i])
		}
		if math.Abs(product/size) > .02 {
			t.Errorf("correlation %v between what should be independent", product/size)
		}
	}
}
