package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// remoteFlags say where producers and consumers on different machines meet.
type remoteFlags struct {
	Redis string `required:"" env:"DARKROOM_REDIS" placeholder:"URL" help:"The queue's Redis: redis://, rediss:// (TLS), unix://, or redis://host:port,host:port for a cluster."`
	storeFlags
}

// storeFlags say where batches are.
type storeFlags struct {
	Store string `required:"" env:"DARKROOM_STORE" placeholder:"STORE" help:"Where batches and their pictures are: a folder or s3://bucket/prefix."`
}

// check says what is wrong with the flag.
func (f storeFlags) check() error {
	if err := storage.CheckURL(f.Store); err != nil {
		return fmt.Errorf("--store or DARKROOM_STORE: %w", err)
	}
	return nil
}

// openStore reaches the store.
func (f storeFlags) openStore(ctx context.Context) (storage.Place, error) {
	if err := f.check(); err != nil {
		return nil, usage(err)
	}
	store, err := storage.OpenURL(ctx, f.Store)
	if err != nil {
		return nil, err
	}
	return store, nil
}

// defaultQueue is where batches go that name no queue.
const defaultQueue = "default"

// remote is an open store, and a queue in an open Redis.
type remote struct {
	store storage.Place
	queue *batch.Queue
}

// open reaches the store and Redis. queue is the queue's name.
func (f remoteFlags) open(ctx context.Context, queue string) (*remote, error) {
	if f.Redis == "" { // which elsewhere means one inside of the process
		return nil, usage(errors.New("--redis or DARKROOM_REDIS is empty: want redis://, rediss:// or unix://"))
	}
	if err := errors.Join(batch.CheckURL(f.Redis), f.check(), batch.CheckQueue(queue)); err != nil {
		return nil, usage(err)
	}
	store, err := f.openStore(ctx)
	if err != nil {
		return nil, err
	}
	q, err := batch.OpenQueue(ctx, f.Redis, queue)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &remote{store, q}, nil
}

func (r *remote) Close() {
	r.queue.Close()
	r.store.Close()
}

// batch opens a batch of the store, and the queue that it is on.
func (r *remote) batch(ctx context.Context, name string) (batch.Batch, *batch.Queue, error) {
	b, err := batch.Open(ctx, r.store, name)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return b, nil, usage(fmt.Errorf("there is no batch %q in %v; \"darkroom status\" lists those that are there", name, r.store))
	case err != nil:
		return b, nil, fmt.Errorf("%v: %w", r.store, err)
	case b.Queue == "":
		return b, nil, usage(fmt.Errorf("batch %q in %v is on no queue: \"darkroom render\" works on it, in a process of its own", name, r.store))
	}
	q, err := r.queue.At(b.Queue)
	return b, q, err
}

// batchArg names a batch that is in the store.
type batchArg struct {
	Batch string `arg:"" placeholder:"BATCH" help:"The batch's name."`
}

// open opens the batch that the command line names.
func (a batchArg) open(ctx context.Context, f remoteFlags) (*remote, batch.Batch, *batch.Queue, error) {
	if err := batch.CheckName(a.Batch); err != nil {
		return nil, batch.Batch{}, nil, usage(err)
	}
	r, err := f.open(ctx, defaultQueue)
	if err != nil {
		return nil, batch.Batch{}, nil, err
	}
	b, q, err := r.batch(ctx, a.Batch)
	if err != nil {
		r.Close()
		return nil, b, nil, err
	}
	return r, b, q, nil
}
