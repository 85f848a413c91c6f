package check

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// freePort is a port that nobody listens at, and that the system gives to no
// connection meanwhile: those it takes from higher ones.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
