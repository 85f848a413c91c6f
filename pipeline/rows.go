package pipeline

import "context"

// Row is one row of a call of the denoising network: one latent at one
// timestep under one text. All slices are the caller's.
type Row struct {
	Sample   []float32 // [channels height width], scaled as the network expects it
	Height   int       // of the latent
	Width    int       // of the latent
	Timestep float32
	Text     []float32 // [tokens width]
	Tokens   int
	Guidance []float32 // the guidance scale's embedding, where the network takes one
	Out      []float32 // as Sample: what the network predicts
}

// Rows runs the denoising network. Rows of one call may be of different jobs,
// timesteps and texts, as long as their sizes agree; what a row's Out becomes
// depends on that row alone.
type Rows interface {
	// Predict fills the rows' Out. It must not keep them. An error is that of
	// all rows.
	Predict(ctx context.Context, rows []Row) error
}
