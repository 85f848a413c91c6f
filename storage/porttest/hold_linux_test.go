package porttest

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// The system gives all ports around one that was taken, and not that one.
func TestTakenIsTaken(t *testing.T) {
	port, err := strconv.Atoi(Take(t))
	if err != nil {
		t.Fatal(err)
	}
	const around, localPortRange = 20, 51 // the option that chooses what the system may give
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		ctl := conn.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, localPortRange, (port+around)<<16|port-around)
		})
		return errors.Join(ctl, err)
	}}
	given := 0
	for ; ; given++ {
		l, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
		if errors.Is(err, syscall.ENOPROTOOPT) {
			t.Skip("this kernel's sockets don't choose")
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().(*net.TCPAddr).Port == port {
			t.Fatal("the port was given to somebody else")
		}
	}
	if given == 0 {
		t.Error("no port was given")
	}
}
