//go:build !linux

package porttest

import "net"

// hold finds a port that is free now. Nobody keeps it for us: two sockets can't
// be bound to one port everywhere.
func hold() (port int, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, func() {}, nil
}
