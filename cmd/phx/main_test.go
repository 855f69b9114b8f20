package main_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/phoenixtest"
)

// binary is the path of the program, which TestMain builds.
var binary string

func TestMain(m *testing.M) {
	path, remove, err := phxtest.Build(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	code := m.Run()
	remove()
	os.Exit(code)
}

// phx is a command line of the program.
func phx(args ...string) phxtest.Command { return phxtest.Command{Path: binary, Args: args} }

// newServer starts a server with the topics of a test.
func newServer(t *testing.T, opts *phoenixtest.Options) *phoenixtest.Server {
	t.Helper()
	if opts == nil {
		opts = &phoenixtest.Options{}
	}
	opts.Network = phoenixtest.TCP
	server := phoenixtest.NewServer(t, opts)
	server.Handle("room:*", phoenixtest.Channel{
		Events: phoenixtest.Events{
			"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(p)
			},
			"no": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.Error(map[string]string{"reason": "no"})
			},
			"silent": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.NoReply()
			},
		},
	})
	server.Handle("refused:*", phoenixtest.Channel{
		Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "unauthorized"})
		},
	})
	return server
}

// check compares what a command did with what is wanted.
func check(t *testing.T, got phxtest.Result, code int, stdout string) {
	t.Helper()
	if got.Code != code || got.Stdout != stdout {
		t.Errorf("exit code %d, want %d; standard output:\n%q, want\n%q\nstandard error:\n%s", got.Code, code, got.Stdout, stdout, got.Stderr)
	}
}
