package storage_test

import (
	"testing"

	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return new(storage.Memory) })
}
