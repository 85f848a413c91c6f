package pipeline

import "context"

// Row is one row of a call of the denoising network: one latent at one
// timestep under one text. All slices are the caller's.
type Row struct {
	Sample   []float32 // [channels height width], scaled as the network expects it
	Beside   []float32 // more channels, which some networks take behind the sample's: to inpaint the mask, and the latent of what it leaves; to upscale a noisy picture
	Height   int       // of the latent
	Width    int       // of the latent
	Timestep float32
	Text     []float32 // [tokens width]
	Tokens   int
	Guidance []float32 // the guidance scale's embedding, where the network takes one
	Pooled   []float32 // the whole text as one vector, where the network takes one (SDXL)
	TimeIDs  []float32 // sizes and crop, where the network takes them (SDXL)
	Noise    float32   // how noisy that picture is, by the network's levels
	Out      []float32 // as Sample: what the network predicts

	// Of ControlNets, where the network takes any.
	Residuals [][]float32 // what they add to the network's skip connections and, the last, to its middle block: [channels height width] each; nil: nothing
	Pictures  [][]float32 // what leads a network that holds ControlNets, each of its own: [3 height width] of 0 .. 1, in pixels; nil: black ones
	Scales    []float32   // of the ControlNets that the network holds
}

// Rows runs the denoising network. Rows of one call may be of different jobs,
// timesteps and texts, as long as their sizes agree; what a row's Out becomes
// depends on that row alone.
type Rows interface {
	// Predict fills the rows' Out. It must not keep them. An error is that of
	// all rows.
	Predict(ctx context.Context, rows []Row) error

	// Lead runs one of the job's ControlNets on rows that have its picture as the
	// first of their Pictures: it adds what the network gives out to their
	// Residuals, times their Scales, which are one for each.
	Lead(ctx context.Context, net int, rows []Row) error
}
