package pipeline

import (
	"context"
	"fmt"
	"math"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/sampler"
)

// guided is a job's denoiser: the network under classifier-free guidance (Ho,
// Salimans, arXiv 2207.12598), which asks for two rows an evaluation, one with
// the negative prompt's text and one with the prompt's. It knows nothing of
// how rows are gathered into calls.
type guided struct {
	rows        Rows
	spec        job.Spec
	state       *sampler.State
	first       int // evaluation, which is not 0 where an edit leaves some out
	evaluations int
	pair        [2]Row // unconditional, conditional
	lead        *lead  // nil: no ControlNet leads it
}

// newGuided makes the denoiser of a job whose latent has the shape of like,
// with the text of the prompt in it. unconditional is empty where nothing is
// guided.
func newGuided(rows Rows, spec job.Spec, state *sampler.State, first, evaluations int, like Row, unconditional text) *guided {
	g := &guided{rows: rows, spec: spec, state: state, first: first, evaluations: evaluations, pair: [2]Row{like, like}}
	g.pair[0].Text, g.pair[0].Pooled = unconditional.states, unconditional.pooled
	if unconditional.states != nil {
		g.pair[0].Out = make([]float32, len(state.X))
	}
	return g
}

// Denoise implements [sampler.Denoiser].
func (g *guided) Denoise(ctx context.Context, out, sample []float32, timestep float64) error {
	for i := range g.pair {
		g.pair[i].Sample, g.pair[i].Timestep = sample, float32(timestep)
	}
	g.pair[1].Out = out
	rows := g.pair[1:]
	if g.pair[0].Text != nil && g.spec.GuidedAt(g.state.Done()-g.first, g.evaluations-g.first) {
		rows = g.pair[:]
	}
	if g.lead != nil {
		if err := g.lead.apply(ctx, rows, g.state.Done()-g.first, g.evaluations-g.first); err != nil {
			return err
		}
	}
	if err := g.rows.Predict(ctx, rows); err != nil {
		return err
	}
	if len(rows) == 2 {
		guide(out, g.pair[0].Out, float32(g.spec.GuidanceScale), g.spec.GuidanceRescale)
	}
	if !finite(out) {
		return job.Bad(fmt.Errorf("the UNet's prediction at timestep %g holds values that are not numbers", timestep))
	}
	return nil
}

// guide turns the conditional prediction into the guided one: u + scale (c - u),
// and towards that with the conditional's standard deviation by the share of
// rescale (Lin et al., arXiv 2305.08891, section 3.4).
func guide(conditional, unconditional []float32, scale float32, rescale float64) {
	before := 0.
	if rescale > 0 {
		before = deviation(conditional)
	}
	for i, u := range unconditional {
		// The conversion keeps compilers from fusing the two operations, which
		// would round differently from one processor to another.
		conditional[i] = u + float32(scale*(conditional[i]-u))
	}
	if rescale > 0 {
		ratio := float32(before / deviation(conditional))
		share := float32(rescale)
		rest := float32(1 - rescale)
		for i, v := range conditional {
			conditional[i] = float32(share*float32(v*ratio)) + float32(rest*v)
		}
	}
}

// deviation is the unbiased standard deviation.
func deviation(x []float32) float64 {
	sum := 0.
	for _, v := range x {
		sum += float64(v)
	}
	mean := sum / float64(len(x))
	squares := 0.
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	return math.Sqrt(squares / float64(len(x)-1))
}

// finite tells whether all values are numbers.
func finite(x []float32) bool {
	sum := float32(0)
	for _, v := range x {
		sum += v * 0 // NaN from an infinity and from a NaN, and 0 from all others
	}
	return sum == 0
}

// guidanceEmbedding is what networks take that had guidance distilled into
// them: sines and cosines of 1000 (scale - 1) at falling frequencies (Luo et
// al., arXiv 2310.04378, after the embedding of timesteps).
func guidanceEmbedding(scale float64, width int) []float32 {
	half := width / 2
	step := math.Log(10000) / float64(half-1)
	embedding := make([]float32, width)
	for i := range half {
		angle := float32(1000*(scale-1)) * float32(math.Exp(float64(float32(i)*float32(-step))))
		embedding[i] = float32(math.Sin(float64(angle)))
		embedding[half+i] = float32(math.Cos(float64(angle)))
	}
	return embedding
}
