package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/darkroom/darkroom/producer/batch"
	"github.com/darkroom/darkroom/storage"
)

// Who watches lines in whose place others were enqueued hears of it: nobody
// works on the older ones any more.
func TestWatchOfOtherLines(t *testing.T) {
	store, err := storage.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q, err := batch.OpenQueue(t.Context(), "", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	older := batch.Batch{Name: "night", Manifest: strings.Repeat("0", 64), Lines: 2, Queue: "q"}
	newer := older
	newer.Manifest = strings.Repeat("1", 64)
	if err := newer.Save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = watch(ctx, Streams{Out: io.Discard, Err: io.Discard}, store, q, older)
	if e, ok := errors.AsType[*exitError](err); !ok || e.status != exitDeadLetters || e.Error() != "batch night has other lines now: watch it again" {
		t.Errorf("%v", err)
	}
}
