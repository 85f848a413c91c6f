package storage_test

import (
	"strings"
	"testing"

	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/s3test"
	"github.com/darkroom/darkroom/storage/storagetest"
)

// startS3 starts a server and has this process find it.
func startS3(t testing.TB) *s3test.Server {
	t.Helper()
	server := s3test.Start(t)
	useS3(t, server, server.Endpoint)
	return server
}

// useS3 has this process find a server at an endpoint, its own or a proxy's.
func useS3(t testing.TB, server *s3test.Server, endpoint string) {
	for _, pair := range append(server.Environ(), "AWS_ENDPOINT_URL="+endpoint) {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

func openURL(t testing.TB, url string) storage.Place {
	t.Helper()
	place, err := storage.OpenURL(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	return place
}

func TestS3(t *testing.T) {
	server := startS3(t)
	n := 0
	storagetest.Run(t, func(t *testing.T) storage.Store {
		n++
		return openURL(t, server.URL("a prefix/of "+strings.Repeat("x", n)))
	})
}
