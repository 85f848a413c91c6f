package engine_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/darkroom/darkroom/pipeline/engine"
)

// Three jobs of different step counts, one of them with guidance, share a
// device that takes up to eight rows a call.
func Example() {
	type row struct{ in, out []float32 }
	type shape struct{ width, height int }

	e, err := engine.New(engine.Config{Lanes: 1, Rows: 8},
		func(ctx context.Context, lane int, group shape, rows []*row) error {
			for _, r := range rows { // in earnest: one run of the model for all rows
				copy(r.out, r.in)
			}
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}

	var jobs sync.WaitGroup
	for _, job := range []struct{ steps, rows int }{{20, 2}, {30, 1}, {8, 1}} {
		jobs.Go(func() {
			j, err := e.Join(shape{64, 64})
			if err != nil {
				log.Fatal(err)
			}
			defer j.Leave()
			rows := make([]*row, job.rows)
			for i := range rows {
				rows[i] = &row{in: make([]float32, 4*8*8), out: make([]float32, 4*8*8)}
			}
			for range job.steps {
				if err := j.Denoise(context.Background(), rows...); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	jobs.Wait()
	e.Close()
	fmt.Println(e.Stats().Rows, "rows")
	// Output: 78 rows
}
