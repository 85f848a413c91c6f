// Package porttest gives ports to the servers of tests.
package porttest

import (
	"strconv"
	"testing"
)

// Take is a port of the loopback interface that is the test's own: a server
// that is told to may listen there, end, and listen there again, and the system
// gives it to nobody else meanwhile, be it for a connection.
func Take(t testing.TB) (port string) {
	t.Helper()
	n, release, err := hold()
	if err != nil {
		t.Fatal("taking a port:", err)
	}
	t.Cleanup(release)
	return strconv.Itoa(n)
}
