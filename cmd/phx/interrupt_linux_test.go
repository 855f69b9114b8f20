package main_test

import (
	"net"
	"testing"
	"time"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/phoenixtest"
)

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return "ws://" + listener.Addr().String() + "/socket"
}

// Where lines are edited Ctrl-C is a key: it ends the wait for a connection all the
// same.
func TestCtrlCWhileJoinConnects(t *testing.T) {
	t.Parallel()
	term := phx("join", "room:1", "--timeout", "1h", "--trace", "--url", silentPort(t)).StartTerminal(t, 80, 24)
	term.Stdout.WaitFor("connecting")
	began := time.Now()
	term.Type("\x03")
	if code := term.WaitExit(); code != 130 || !term.Restored() || time.Since(began) > 10*time.Second {
		t.Errorf("exit code %d after %v, restored %t", code, time.Since(began), term.Restored())
	}
}

// It ends the wait for a reply to the join, too, and that for the last replies.
func TestCtrlCWhileJoinWaits(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	server.Handle("mute:*", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
		c.Sleep(time.Hour) // until the end of the server
		return phoenixtest.OK(nil)
	}})
	term := phx("join", "mute:1", "--timeout", "1h", "--url", server.URL()).StartTerminal(t, 80, 24)
	server.ExpectConnect().ExpectJoin("mute:1")
	term.Type("\x03")
	if code := term.WaitExit(); code != 130 || !term.Restored() {
		t.Errorf("exit code %d, restored %t", code, term.Restored())
	}

	term = phx("join", "room:1", "--timeout", "1h", "--url", server.URL()).StartTerminal(t, 80, 24)
	term.Stdout.WaitFor("joined room:1")
	conn := server.ExpectConnect()
	term.Type("silent\r/leave\r")
	conn.ExpectPush("room:1", "silent", nil)
	term.Type("\x03")
	if code := term.WaitExit(); code != 0 || !term.Restored() {
		t.Errorf("exit code %d, restored %t", code, term.Restored())
	}
}

// The second Ctrl-C ends the command at once, even if the server does not let it go.
func TestSecondCtrlCEndsAtOnce(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	term := phx("join", "room:1", "--url", server.URL()).StartTerminal(t, 80, 24)
	term.Stdout.WaitFor("joined room:1")
	server.ExpectConnect().Stall() // the leave gets no reply
	began := time.Now()
	term.Type("\x03\x03")
	if code := term.WaitExit(); code != 130 || !term.Restored() || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("exit code %d after %v, restored %t", code, time.Since(began), term.Restored())
	}
}

// So does the second signal in a script, whose shell lets commands in the background
// ignore Ctrl-C.
func TestSecondSignalEndsACommandInTheBackground(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	shell := phxtest.Command{Path: "/bin/sh", Args: []string{"-c", `trap "" INT; exec "$0" join room:1 --trace --url "$1"`, binary, server.URL()}}
	p := shell.Start(t)
	p.Stderr.WaitFor("joined room:1")
	server.ExpectConnect().Stall() // the leave gets no reply
	p.Interrupt()
	p.Stderr.WaitFor("phx_leave")
	began := time.Now()
	p.Interrupt()
	if code := p.WaitExit(); code != 130 || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("exit code %d after %v", code, time.Since(began))
	}
}

// Ctrl-C and SIGTERM end every command while it connects.
func TestInterruptWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"push", "room:1", "echo"}, {"listen", "room:1"}, {"presence", "room:1"}, {"ping"}, {"join", "room:1"},
	} {
		p := phx(append(args, "--timeout", "1h", "--trace", "--url", silentPort(t))...).Start(t)
		p.Stderr.WaitFor("connecting")
		began := time.Now()
		p.Interrupt()
		if got := p.Wait(); got.Code != 130 || time.Since(began) > 10*time.Second {
			t.Errorf("%v: %v after %v", args, got, time.Since(began))
		}
	}
	p := phx("load", "room:1", "echo", "--timeout", "1h", "--url", silentPort(t)).Start(t)
	p.Stderr.WaitFor("loading")
	p.Interrupt()
	if got := p.Wait(); got.Code != 130 {
		t.Errorf("load: %v", got)
	}
}
