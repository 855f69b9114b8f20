//go:build linux || darwin

package phoenix_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

const (
	// stoppedEnv has the endpoint for the process that is stopped.
	stoppedEnv = "PHOENIX_TEST_STOPPED"
	// stoppedTimeout is its HeartbeatTimeout.
	stoppedTimeout = 2 * time.Second
)

// This is what the process does: it connects, and tells when it is asked, and in the
// end, whether it is still the same connection.
func TestProcessThatIsStopped(t *testing.T) {
	endpoint := os.Getenv(stoppedEnv)
	if endpoint == "" {
		return // it is run by the test below
	}
	s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
		HeartbeatInterval: 100 * time.Millisecond, HeartbeatTimeout: stoppedTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
	st := s.Stats()
	fmt.Printf("connects=%d last=%v\n", st.Connects, st.LastError)
}

// It is about a process and its kernel, so that it runs in real time.
func TestAProcessThatWasStoppedKeepsItsConnectionIfTheReplyWaitsInTheKernel(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	type beat struct {
		conn *phoenixtest.Conn
		m    phoenixtest.Message
	}
	beats := make(chan beat, 100)
	srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event != phoenix.EventHeartbeat {
			return false
		}
		beats <- beat{c, m} // it is answered below
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProcessThatIsStopped$")
	cmd.Env = append(os.Environ(), stoppedEnv+"="+srv.URL())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel() // which kills it if it is still there
		_ = cmd.Wait()
	}()
	next := func() beat {
		t.Helper()
		select {
		case b := <-beats:
			return b
		case <-ctx.Done():
			t.Fatal("no heartbeat comes")
			return beat{}
		}
	}
	answer := func(b beat) {
		t.Helper()
		if err := b.conn.Reply(b.m, phoenixtest.OK(nil)); err != nil {
			t.Fatal(err)
		}
	}
	first := next()
	answer(first)
	for range 2 {
		b := next()
		stop(t, cmd.Process.Pid)
		answer(b)
		timer := time.NewTimer(stoppedTimeout + 500*time.Millisecond)
		<-timer.C
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		b = next()
		answer(b)
		if b.conn != first.conn {
			t.Error("it has made a new connection")
		}
	}
	_ = stdin.Close()
	go func() {
		for {
			select {
			case b := <-beats:
				_ = b.conn.Reply(b.m, phoenixtest.OK(nil))
			case <-ctx.Done():
				return
			}
		}
	}()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "connects=") {
			if lines.Text() != "connects=1 last=<nil>" {
				t.Error(lines.Text())
			}
			return
		}
	}
	t.Errorf("it has told nothing: %v", lines.Err())
}

// stop stops a process, and waits until it is.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || !status.Stopped():
			t.Fatalf("the process is not stopped: %v, %v", status, err)
		default:
			return
		}
	}
}
