package main_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A socks is a SOCKS5 proxy (RFC 1928, 1929) that leads to one server, whatever it is
// asked for, as the name of it is known to nobody.
type socks struct {
	net.Listener
	backend  string
	password string // "" wants none

	conns sync.WaitGroup
	mu    sync.Mutex
	asked []string
}

func newSocks(t *testing.T, backend, password string) *socks {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socks{Listener: listener, backend: backend, password: password}
	s.conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() {
				defer conn.Close()
				if err := s.serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					t.Logf("socks: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.conns.Wait()
	})
	return s
}

// field reads what begins with its length, in a byte.
func field(r io.Reader) ([]byte, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	data := make([]byte, n[0])
	_, err := io.ReadFull(r, data)
	return data, err
}

func (s *socks) serve(conn net.Conn) error {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:1]); err != nil {
		return err
	}
	if _, err := field(conn); err != nil { // the methods that it offers
		return err
	}
	if s.password == "" {
		_, _ = conn.Write([]byte{5, 0})
	} else {
		_, _ = conn.Write([]byte{5, 2})
		if _, err := io.ReadFull(conn, head[:1]); err != nil {
			return err
		}
		_, err1 := field(conn)
		password, err2 := field(conn)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if string(password) != s.password {
			_, err := conn.Write([]byte{1, 1})
			return err
		}
		_, _ = conn.Write([]byte{1, 0})
	}
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	const named = 3
	if head[3] != named {
		return errors.New("asked for an address, not for a name")
	}
	name, err := field(conn)
	if err != nil {
		return err
	}
	var port [2]byte
	if _, err := io.ReadFull(conn, port[:]); err != nil {
		return err
	}
	s.mu.Lock()
	s.asked = append(s.asked, string(name))
	s.mu.Unlock()
	server, err := net.Dial("tcp", s.backend)
	if err != nil {
		_, err = conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	defer server.Close()
	if _, err := conn.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0}); err != nil {
		return err
	}
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, conn) // until one of the two hangs up
	}()
	_, _ = io.Copy(conn, server) // the same
	return nil
}

// A SOCKS proxy of the environment carries WebSockets and long polls, and resolves the
// name of the server itself.
func TestThroughASOCKSProxy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		scheme, password string
		args             []string
	}{
		"websocket":           {"socks5", "", []string{"push", "room:1", "echo", `{"a":1}`}},
		"with a password":     {"socks5", "hunter2", []string{"push", "room:1", "echo", `{"a":1}`}},
		"longpoll":            {"socks5", "", []string{"push", "room:1", "echo", `{"a":1}`, "--transport", "longpoll"}},
		"socks5h":             {"socks5h", "", []string{"push", "room:1", "echo", `{"a":1}`}},
		"the doctor":          {"socks5", "hunter2", []string{"doctor", "room:1"}},
		"a wrong password":    {"socks5", "wrong", []string{"push", "room:1", "echo"}},
		"a doctor without it": {"socks5", "wrong", []string{"doctor", "room:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wants := tt.password
			if wants == "wrong" {
				wants = "another"
			}
			proxy := newSocks(t, "127.0.0.1:"+portOf(t, newServer(t, nil).URL()), wants)
			user := ""
			if tt.password != "" {
				user = "ann:" + tt.password + "@"
			}
			cmd := phx(append(tt.args, "--url", "ws://phoenix.test/socket")...)
			cmd.Env = []string{"HTTP_PROXY=" + tt.scheme + "://" + user + proxy.Addr().String()}
			got := cmd.Run(t)
			if strings.Contains(got.Stdout+got.Stderr, "hunter2") {
				t.Errorf("the password is shown: %v", got)
			}
			switch {
			case tt.password == "wrong":
				if got.Code != 6 || !strings.Contains(got.Stdout+got.Stderr, "password") {
					t.Errorf("%v", got)
				}
				return
			case tt.args[0] == "doctor":
				if got.Code != 0 || !strings.Contains(got.Stdout, "note     proxy") || !strings.Contains(got.Stdout, "ok       join") {
					t.Errorf("%v", got)
				}
			default:
				check(t, got, 0, `{"a":1}`+"\n")
			}
			proxy.mu.Lock()
			defer proxy.mu.Unlock()
			if len(proxy.asked) == 0 || proxy.asked[0] != "phoenix.test" {
				t.Errorf("the proxy was asked for %q", proxy.asked)
			}
		})
	}
}
