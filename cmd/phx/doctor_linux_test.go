package main_test

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestDoctorOfASilentPort has a port drop what comes, as a firewall does: Linux does
// that once the queue of a listener that accepts nothing is full.
func TestDoctorOfASilentPort(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) }) // only the test has it
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	bound, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("the address is a %T", name)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.Port))
	for queued := 0; ; queued++ {
		conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		// There are two errors for it: the time is up in the system, or here.
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			break
		}
		if err != nil || queued == 100 {
			t.Fatalf("after %d connections: %v", queued, err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	got := phx("doctor", "--json", "--timeout", "300ms", "--url", "ws://"+address+"/socket").Run(t)
	expectFinding(t, got, "port_silent", "failed", 6)
}
