package main_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// TestNetwork has the options of k6 that say what may be reached, and how. The script
// tells what became of a connect.
func TestNetwork(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	agents := make(chan string, 10)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		secure.Close()
		close(agents)
		for got := range agents {
			if got != "load-test/1" {
				t.Errorf("the user agent is %q", got)
			}
		}
	})
	secureURL := "wss" + strings.TrimPrefix(secure.URL, "https") + u.Path
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	named := "ws://phoenix.example:" + port + u.Path
	for name, tt := range map[string]struct {
		url  string
		args []string
		env  string
		want string
	}{
		"hosts":              {url: named, args: []string{"-e", "HOSTS=127.0.0.1"}, want: "connected"},
		"no such host":       {url: named, want: "failed: connect to " + named + ": "},
		"blacklist-ip":       {url: server.URL(), args: []string{"--blacklist-ip", "127.0.0.0/8"}, want: "is in a blacklisted range (127.0.0.0/8)"},
		"block-hostnames":    {url: named, args: []string{"--block-hostnames", "*.example", "-e", "HOSTS=127.0.0.1"}, want: "is in a blocked pattern (*.example)"},
		"unknown CA":         {url: secureURL, want: "certificate"},
		"insecure":           {url: secureURL, args: []string{"--insecure-skip-tls-verify"}, want: "connected"},
		"own CA":             {url: secureURL, env: "SSL_CERT_FILE=" + ca, want: "connected"},
		"old TLS":            {url: secureURL, args: []string{"--insecure-skip-tls-verify", "-e", "TLS=tls1.1"}, want: "failed: connect to"},
		"tls through a name": {url: strings.Replace(secureURL, "127.0.0.1", "example.com", 1), args: []string{"-e", "HOSTS=127.0.0.1"}, env: "SSL_CERT_FILE=" + ca, want: "connected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prepare(t, server, append(tt.args, "--user-agent", "load-test/1", "-e", "TARGET="+tt.url, "testdata/network.js")...)
			if tt.env != "" {
				r.cmd.Env = append(r.cmd.Env, tt.env)
			}
			r.begin()
			r.wait(0)
			if !strings.Contains(r.out.String(), tt.want) {
				t.Errorf("%q is not in the output:\n%s", tt.want, r.out.String())
			}
		})
	}
}

// TestSIGINT ends a run while sockets are open: some that outlive iterations, some that
// do not. All say goodbye.
func TestSIGINT(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	there := make(chan struct{}, 10)
	server.Handle("there:*", phoenixtest.Channel{Events: phoenixtest.Events{
		"there": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			there <- struct{}{}
			return phoenixtest.NoReply()
		},
	}})
	r := start(t, server, "testdata/sigint.js")
	for range cap(there) {
		select {
		case <-there:
		case <-time.After(patience):
			t.Fatalf("not all users are there:\n%s", r.out.String())
		}
	}
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.wait(aborted)
	if closed := wantGoodbyes(t, server); closed != 10 {
		t.Errorf("%d connections were closed, want 10", closed)
	}
	if strings.Contains(r.out.String(), "panic") {
		t.Error(r.out.String())
	}
}

// TestForgotten is a script without a close: k6 waits for gracefulStop, and the log
// says why, once.
func TestForgotten(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	r := start(t, server, "testdata/forgotten.js")
	r.wait(0)
	if n := strings.Count(r.out.String(), "it lacks an await socket.close()"); n != 1 {
		t.Errorf("the warning is there %d times:\n%s", n, r.out.String())
	}
	wantGoodbyes(t, server)
}

// TestHeartbeats ends a test while persistent sockets do something all the time: k6
// closes its channel of samples, and nobody sends on it any more.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	r := start(t, server, "testdata/heartbeats.js")
	r.wait(0)
	if strings.Contains(r.out.String(), "panic") {
		t.Error(r.out.String())
	}
	if closed := wantGoodbyes(t, server); closed != 20 {
		t.Errorf("%d connections were closed, want 20", closed)
	}
}

// TestCrowded makes a persistent socket in each iteration: the log says once that they
// pile up.
func TestCrowded(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	r := start(t, server, "testdata/crowded.js")
	r.wait(0)
	if n := strings.Count(r.out.String(), "make it in the init context instead"); n != 1 {
		t.Errorf("the warning is there %d times:\n%s", n, r.out.String())
	}
	if closed := wantGoodbyes(t, server); closed != 60 {
		t.Errorf("%d connections were closed, want 60", closed)
	}
}
