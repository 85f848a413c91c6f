package job

import "errors"

// Class is what a renderer knows about the cause of a failure.
type Class string

const (
	BadJob      Class = "bad_job"       // the job can't be rendered, however often it is tried
	OutOfMemory Class = "out_of_memory" // it might be rendered with fewer rows beside it
	NoModel     Class = "no_model"      // others may have a model that this renderer lacks
)

// Failure is an error with its class.
type Failure struct {
	Class Class
	Err   error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Bad marks an error as the job's own: no other attempt will end better.
func Bad(err error) error { return &Failure{BadJob, err} }

// ClassOf returns the class of the outermost [Failure] in an error's chain,
// empty where nobody knows.
func ClassOf(err error) Class {
	var f *Failure
	if errors.As(err, &f) {
		return f.Class
	}
	return ""
}
