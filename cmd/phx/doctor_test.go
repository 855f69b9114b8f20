package main_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

// A finding is what phx doctor --json prints.
type finding struct {
	Step   string `json:"step"`
	Status string `json:"status"`
	Cause  string `json:"cause"`
	Text   string `json:"text"`
	Do     string `json:"do"`
}

// A broken server, and what the doctor has to say of it.
type broken struct {
	// start starts the server, and returns its URL and further arguments.
	start  func(t *testing.T) (url string, args []string)
	cause  string
	status string // of the finding with that cause
	code   int
}

// faulty starts a server with a fault.
func faulty(opts *phoenixtest.Options, fault func(*phoenixtest.Server), args ...string) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		var own *phoenixtest.Options
		if opts != nil {
			c := *opts
			own = &c
		}
		server := newServer(t, own)
		if fault != nil {
			fault(server)
		}
		return server.URL(), args
	}
}

// refusing starts a server with a connect/3.
func refusing(connect func(*phoenixtest.ConnectInfo) error, args ...string) func(*testing.T) (string, []string) {
	return faulty(&phoenixtest.Options{AuthToken: true, Connect: connect}, nil, args...)
}

// behind starts a server behind an HTTP handler of the test.
func behind(wrap func(next http.Handler) http.Handler, args ...string) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		server := newServer(t, nil)
		front := httptest.NewServer(wrap(server))
		t.Cleanup(func() {
			server.Close() // a long poll may still wait
			front.Close()
		})
		return "ws" + strings.TrimPrefix(front.URL, "http") + "/socket", args
	}
}

func brokenServers(secret string) map[string]broken {
	no := errors.New("no")
	servers := faultyServers()
	maps.Copy(servers, map[string]broken{
		"an unknown name": {func(*testing.T) (string, []string) { return "ws://host.invalid/socket", nil }, "name_unknown", "failed", 6},
		"a closed port":   {func(t *testing.T) (string, []string) { return "ws://" + closedPort(t) + "/socket", nil }, "port_closed", "failed", 6},
		"another scheme":  {func(*testing.T) (string, []string) { return "ftp://example.com/socket", nil }, "bad_url", "failed", 2},

		"a certificate of nobody":          {tlsServer(1000*time.Hour, "127.0.0.1", false), "certificate_untrusted", "failed", 6},
		"an expired certificate":           {tlsServer(-time.Hour, "127.0.0.1", true), "certificate_expired", "failed", 6},
		"a certificate for another host":   {tlsServer(1000*time.Hour, "127.0.0.2", true), "certificate_for_another_host", "failed", 6},
		"a certificate that expires soon":  {tlsServer(48*time.Hour, "127.0.0.1", true), "certificate_expires_soon", "warning", 0},
		"wss to a port without TLS":        {secureURL(faulty(nil, nil)), "not_tls", "failed", 6},
		"ws to a port with TLS":            {plainURL(tlsServer(1000*time.Hour, "127.0.0.1", true)), "needs_tls", "failed", 5},
		"another path":                     {faulty(&phoenixtest.Options{Path: "/live"}, nil), "path_unknown", "failed", 5},
		"long poll alone":                  {faulty(&phoenixtest.Options{Transports: phoenixtest.LongPollOnly}, nil), "websocket_not_mounted", "failed", 5},
		"WebSocket alone":                  {faulty(&phoenixtest.Options{Transports: phoenixtest.WebSocketOnly}, nil), "longpoll_not_mounted", "note", 0},
		"a proxy that strips Upgrade":      {faulty(nil, func(s *phoenixtest.Server) { s.BlockUpgrade(true) }), "upgrade_stripped", "failed", 5},
		"a proxy that waits":               {faulty(nil, func(s *phoenixtest.Server) { s.HangUpgrades(true) }, "--timeout", "500ms"), "upgrade_hangs", "failed", 6},
		"a server that hangs":              {faulty(nil, func(s *phoenixtest.Server) { s.HangRequests(true) }, "--timeout", "500ms"), "upgrade_hangs", "failed", 6},
		"a proxy that swallows frames":     {faulty(nil, func(s *phoenixtest.Server) { s.SwallowFrames(true) }, "--timeout", "500ms"), "frames_swallowed", "failed", 6},
		"a server that is down":            {faulty(nil, func(s *phoenixtest.Server) { s.RefuseNext(-1, 503, nil, "") }), "unavailable", "failed", 5},
		"a redirect":                       {faulty(nil, func(s *phoenixtest.Server) { s.RefuseNext(-1, 302, http.Header{"Location": {"/"}}, "") }), "redirected", "failed", 5},
		"a page for everything":            {faulty(nil, func(s *phoenixtest.Server) { s.RefuseNext(-1, 200, nil, "<html>") }), "not_phoenix", "failed", 5},
		"a port without HTTP":              {noHTTP, "not_http", "failed", 6},
		"connect/3 that raises":            {refusing(func(*phoenixtest.ConnectInfo) error { panic("raised") }), "connect_raised", "failed", 5},
		"connect/3 that refuses everybody": {refusing(func(*phoenixtest.ConnectInfo) error { return no }), "refused_by_connect", "failed", 5},
		"an origin that is not allowed": {refusing(func(i *phoenixtest.ConnectInfo) error {
			if i.Header.Get("Origin") != "" {
				return no
			}
			return nil
		}, "--origin", "https://elsewhere.example"), "refused_origin", "failed", 5},
		"an origin that is wanted": {refusing(func(i *phoenixtest.ConnectInfo) error {
			if i.Header.Get("Origin") == "" {
				return no
			}
			return nil
		}), "refused_origin", "failed", 5},
		"a token that is refused": {refusing(func(i *phoenixtest.ConnectInfo) error {
			if i.HasAuthToken {
				return no
			}
			return nil
		}, "--auth-token", secret), "refused_token", "failed", 5},
		"params that are refused": {refusing(func(i *phoenixtest.ConnectInfo) error {
			if i.Params.Has("user") {
				return no
			}
			return nil
		}, "--param", "user=ann"), "refused_params", "failed", 5},
		"another protocol version": {refusing(func(i *phoenixtest.ConnectInfo) error {
			if i.Vsn != "1.0.0" {
				return no
			}
			return nil
		}), "refused_vsn", "failed", 5},
		"a mount without auth_token": {faulty(nil, nil, "--auth-token", secret), "auth_token_lost", "failed", 5},
		"no token to be had":         {faulty(nil, nil, "--auth-token-cmd", "exit 3"), "token_unavailable", "failed", 1},

		"a topic that is not routed": {faulty(nil, nil, "nowhere:1"), "topic_unmatched", "failed", 3},
		"a join that is refused":     {faulty(nil, nil, "refused:1"), "join_refused", "failed", 3},
		"a join that takes too long": {faulty(nil, func(s *phoenixtest.Server) { s.Script("slow") }, "slow", "--timeout", "500ms"), "join_timed_out", "failed", 4},
		"a slow network": {faulty(nil, func(s *phoenixtest.Server) { s.Delay(1100*time.Millisecond, 1100*time.Millisecond) },
			"--timeout", "5s"), "slow_heartbeat", "warning", 0},
		"a clock that is wrong": {behind(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		}), "clock_skew", "warning", 0},
		"a proxy that fears compression": {behind(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Sec-WebSocket-Extensions") != "" {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				next.ServeHTTP(w, r)
			})
		}), "deflate_broken", "warning", 0},
		"an idle timeout of the server":  {faulty(&phoenixtest.Options{IdleTimeout: 300 * time.Millisecond}, nil, "--soak", "5s"), "idle_timeout_of_the_server", "note", 0},
		"an idle timeout on the way":     {idleProxy(600*time.Millisecond, "--soak", "5s"), "idle_timeout_on_the_way", "warning", 0},
		"a load balancer that ends them": {faulty(nil, func(s *phoenixtest.Server) { s.DieAfterOpen(-1, 300*time.Millisecond) }, "--soak", "5s"), "lifetime_limited", "warning", 0},
	})
	return servers
}

// TestDoctor has it find out what is wrong with many servers.
func TestDoctor(t *testing.T) {
	t.Parallel()
	signer, err := token.NewSigner(secretKeyBase, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := signer.Sign("user socket", 42, token.SignedAt(time.Now().Add(-48*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range brokenServers(secret) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, args := tt.start(t)
			if name == "another path" {
				url, args = strings.TrimSuffix(url, "/live"), nil
			}
			got := phx(append([]string{"doctor", "--json", "--url", url}, args...)...).Run(t)
			expectFinding(t, got, tt.cause, tt.status, tt.code)
			if strings.Contains(got.Stdout+got.Stderr, secret) {
				t.Error("the token is shown")
			}
			if name == "a token that is refused" && !strings.Contains(got.Stdout, "expired 24h0m") {
				t.Error("it does not say that the token has expired")
			}
			if t.Failed() {
				t.Logf("%s%s", got.Stdout, got.Stderr)
			}
		})
	}
}

// expectFinding looks for a cause, and for failures that are not the cause.
func expectFinding(t *testing.T, got phxtest.Result, cause, status string, code int) {
	t.Helper()
	if got.Code != code {
		t.Errorf("exit code %d, want %d", got.Code, code)
	}
	named := false
	for i, f := range findings(t, got) {
		switch {
		case f.Cause == cause && f.Status == status:
			named = true
		case f.Status == "failed" || f.Status == "warning" && status != "failed":
			t.Errorf("finding %d is not the cause: %+v", i, f)
		}
		if f.Status == "failed" && f.Do == "" {
			t.Errorf("finding %d does not say what to do: %+v", i, f)
		}
	}
	if !named {
		t.Errorf("no finding with cause %s and status %s", cause, status)
	}
}

func findings(t *testing.T, got phxtest.Result) []finding {
	t.Helper()
	var all []finding
	for line := range strings.SplitSeq(strings.TrimSpace(got.Stdout), "\n") {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %q; standard error %q", err, line, got.Stderr)
		}
		all = append(all, f)
	}
	return all
}

// TestDoctorOfAGoodServer has nothing to complain of.
func TestDoctorOfAGoodServer(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{Compress: true, AuthToken: true})
	got := phx("doctor", "room:1", "--auth-token", "hunter2", "--soak", "100ms", "--url", server.URL()).Run(t)
	if got.Code != 0 || strings.Contains(got.Stdout, "hunter2") {
		t.Errorf("got %v", got)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(got.Stdout), "\n") {
		if !strings.HasPrefix(line, "ok ") {
			t.Errorf("line %q", line)
		}
	}
	if steps := strings.Count(got.Stdout, "\n"); steps != 9 {
		t.Errorf("%d steps, want 9:\n%s", steps, got.Stdout)
	}
}

// noHTTP starts a server that ends each connection.
func noHTTP(t *testing.T) (string, []string) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return "ws://" + lis.Addr().String() + "/socket", nil
}

// idleProxy starts a server behind a TCP proxy that cuts connections which are silent.
func idleProxy(idle time.Duration, args ...string) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		server := newServer(t, nil)
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lis.Close() })
		backend := strings.TrimSuffix(strings.TrimPrefix(server.URL(), "ws://"), "/socket")
		go func() {
			for {
				client, err := lis.Accept()
				if err != nil {
					return
				}
				go relay(client, backend, idle)
			}
		}()
		return "ws://" + lis.Addr().String() + "/socket", args
	}
}

// relay carries bytes both ways until none came from the client for a while.
func relay(client net.Conn, backend string, idle time.Duration) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		buf := make([]byte, 4096)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 4096)
	for {
		if client.SetReadDeadline(time.Now().Add(idle)) != nil {
			return
		}
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}
