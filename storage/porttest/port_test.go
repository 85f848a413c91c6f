package porttest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// A port that was taken has a server again and again, and refuses connections
// where there is none.
func TestTake(t *testing.T) {
	addr := "127.0.0.1:" + Take(t)
	for range 2 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("with no server: %v", err)
		}
		server, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		server.Close()
	}
}
