package pipeline

import (
	"context"
	"errors"

	"github.com/darkroom/darkroom/pipeline/job"
	"github.com/darkroom/darkroom/pipeline/onnx"
)

// ErrOutOfMemory is what a call fails with that found no memory: with fewer
// rows it might not.
var ErrOutOfMemory = errors.New("out of memory")

// Runtime runs ONNX graphs; package ort is one. It is safe for concurrent use.
type Runtime interface {
	// Load makes a graph ready to run. It may take seconds, and may be called
	// for several graphs at a time.
	Load(file GraphFile) (Graph, error)

	// Device says how calls fill the device best.
	Device() Device

	// Interruptible returns a context under which a call ends soon after ctx
	// does, even in its middle; under any other context a call runs to its
	// end. One call at a time may run under it. The function that comes with
	// it releases what it holds and must be called.
	Interruptible(ctx context.Context) (context.Context, func(), error)

	// MadeWith says what a picture's bits depend on; darkroom's own version is
	// left empty.
	MadeWith() job.MadeWith
}

// Device says how calls fill a device best.
type Device struct {
	Lanes int  // how many run at a time, at least 1
	Rows  int  // the most rows of a UNet's call, at least 1
	Fixed bool // a row's bits depend on how many rows its call has, so that it always has Rows
	Loose bool // they may: no call is padded

	Tunes bool // the first call of a size takes long: few sizes are better than those that fit

	// It has ONNX Runtime's own operators (com.microsoft) beside those of ONNX.
	Contrib bool

	Memory int64 // for models that stay loaded, bytes; 0: all that are asked for stay
}

// Jobs is how many jobs in flight fill the device: with guidance, two rows a
// job, as many rows wait as are in calls, so that a lane that gets free has a
// full call at hand.
func (d Device) Jobs() int { return d.Lanes * d.Rows }

// Port is an input or output of a graph.
type Port = onnx.Port

// GraphFile is an ONNX file that is to be run.
type GraphFile struct {
	Name    string // for errors: where it lies, a path or a name among the built-in models
	Digest  string // tells it from all other graphs: what compiled engines are cached under
	Path    string // where the runtime reads it, if Data is nil
	Data    []byte // the file itself
	Folder  string // where the external data of Data lies; empty where it has none
	Size    int64  // of its file and of its external data, bytes
	Passing bool   // one of many variants of a graph, too many to keep on disk what takes long to make of each
	Inputs  []Port // all that the graph wants to be fed
	Outputs []Port // what calls ask for; the graph may have more
}

// Graph is a loaded ONNX graph. It is safe for concurrent use.
type Graph interface {
	// Bind makes a call with a place in memory for each input and output. All
	// inputs must be there, with the rank that the graph declares; numbers are
	// converted to the types that it declares.
	Bind(inputs, outputs []Tensor) (Call, error)
	// Close frees the graph, after its calls.
	Close() error
}

// Tensor is a named tensor in a call's memory: row-major, in one of the two
// types that pipelines think in.
type Tensor struct {
	Name   string
	Shape  []int64
	Floats []float32
	Ints   []int64 // for tokens, where Floats is nil
}

// Call runs a graph on memory that stays the same from run to run, so that a
// step allocates nothing. It serves one goroutine at a time.
type Call interface {
	// Run reads the inputs' memory and fills the outputs'. See
	// [Runtime.Interruptible] for how it can be cut short.
	Run(ctx context.Context) error
	// Close frees the call's tensors; the memory stays the caller's.
	Close()
}
