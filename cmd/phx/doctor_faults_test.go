package main_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// faultyServers are servers that let the doctor come some way, and those of which only
// one transport is examined.
func faultyServers() map[string]broken {
	return map[string]broken{
		"ws to another machine": {func(t *testing.T) (string, []string) {
			// The unspecified address leads to this machine, and is no loopback address.
			return strings.Replace(newServer(t, nil).URL(), "127.0.0.1", "0.0.0.0", 1), nil
		}, "plain_text", "warning", 0},
		"an address without a route": {func(*testing.T) (string, []string) {
			return "ws://255.255.255.255:4000/socket", []string{"--timeout", "500ms"}
		}, "port_silent", "failed", 6},

		"an old version of TLS":       {tlsConfigured(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "tls_failed", "failed", 6},
		"a client certificate in 1.2": {tlsConfigured(func(c *tls.Config) { c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert }), "tls_failed", "failed", 6},
		// In TLS 1.3, the client learns it after the handshake.
		"a client certificate in 1.3": {tlsConfigured(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), "tls_failed", "failed", 6},

		"a long poll that raises":      {behind(failing("/longpoll", http.StatusInternalServerError)), "longpoll_failed", "warning", 0},
		"a limit of two WebSockets":    {behind(limited(2)), "heartbeat_failed", "failed", 6},
		"a limit of four WebSockets":   {behind(limited(4), "room:1"), "join_failed", "failed", 3},
		"a second heartbeat is lost":   {faulty(nil, loseSecondHeartbeat, "--timeout", "500ms"), "heartbeat_failed", "failed", 6},
		"a join that ends all":         {faulty(nil, cutAtJoin, "room:1"), "join_failed", "failed", 3},
		"a topic of the protocol":      {faulty(nil, nil, "phoenix"), "join_failed", "failed", 3},
		"only WebSocket, if asked":     {faulty(&phoenixtest.Options{Transports: phoenixtest.LongPollOnly}, nil, "--transport", "websocket"), "websocket_not_mounted", "failed", 5},
		"only long poll, if asked":     {faulty(&phoenixtest.Options{Transports: phoenixtest.WebSocketOnly}, nil, "--transport", "longpoll"), "longpoll_not_mounted", "failed", 5},
		"a long poll that hangs":       {faulty(nil, func(s *phoenixtest.Server) { s.HangRequests(true) }, "--transport", "longpoll", "--timeout", "500ms"), "longpoll_failed", "failed", 6},
		"a long poll that is down":     {faulty(nil, func(s *phoenixtest.Server) { s.RefuseNext(-1, 503, nil, "") }, "--transport", "longpoll"), "unavailable", "failed", 5},
		"a long poll at another path":  {elsewhere(faulty(nil, nil, "--transport", "longpoll")), "path_unknown", "failed", 5},
		"a page for each long poll":    {faulty(nil, func(s *phoenixtest.Server) { s.RefuseNext(-1, 200, nil, "<html>") }, "--transport", "longpoll"), "not_phoenix", "failed", 5},
		"params that a poll must lack": {refusing(withoutParams, "--param", "user=ann", "--transport", "longpoll"), "refused_params", "failed", 5},
		"a poll that wants an origin":  {refusing(withOrigin, "--transport", "longpoll"), "refused_origin", "failed", 5},
		"a poll with another version":  {refusing(withVersion1, "--transport", "longpoll"), "refused_vsn", "failed", 5},
		"a poll without a token":       {refusing(withoutToken, "--auth-token", "x", "--transport", "longpoll"), "refused_token", "failed", 5},
		"a long poll without a route":  {faulty(nil, nil, "nowhere:1", "--transport", "longpoll"), "topic_unmatched", "failed", 3},
	}
}

// failing answers requests for a path with a status.
func failing(suffix string, status int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, suffix) {
				w.WriteHeader(status)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// limited lets so many WebSockets through, and refuses more.
func limited(most int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		var n atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" && n.Add(1) > most {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// loseSecondHeartbeat answers the first heartbeat of each connection alone.
func loseSecondHeartbeat(s *phoenixtest.Server) {
	seen := make(chan map[*phoenixtest.Conn]bool, 1)
	seen <- map[*phoenixtest.Conn]bool{}
	s.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event != "heartbeat" {
			return false
		}
		conns := <-seen
		again := conns[c]
		conns[c] = true
		seen <- conns
		return again
	})
}

func cutAtJoin(s *phoenixtest.Server) {
	s.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event == "phx_join" {
			c.Cut()
		}
		return m.Event == "phx_join"
	})
}

// elsewhere asks for a path at which nothing is mounted.
func elsewhere(start func(*testing.T) (string, []string)) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		url, args := start(t)
		return strings.TrimSuffix(url, "/socket"), args
	}
}

// Each of these accepts a connection only as its name says.

func withoutParams(i *phoenixtest.ConnectInfo) error { return unless(!i.Params.Has("user")) }
func withOrigin(i *phoenixtest.ConnectInfo) error    { return unless(i.Header.Get("Origin") != "") }
func withVersion1(i *phoenixtest.ConnectInfo) error  { return unless(i.Vsn == "1.0.0") }
func withoutToken(i *phoenixtest.ConnectInfo) error  { return unless(!i.HasAuthToken) }

func unless(accepted bool) error {
	if accepted {
		return nil
	}
	return http.ErrNotSupported
}

// TestDoctorTransport sees which steps the flag leaves.
func TestDoctorTransport(t *testing.T) {
	t.Parallel()
	for transport, want := range map[string]string{
		"websocket": "tcp websocket clock heartbeat deflate join soak",
		"longpoll":  "tcp longpoll clock heartbeat join",
		"fallback":  "tcp websocket longpoll clock heartbeat deflate join soak",
		"":          "tcp websocket longpoll clock heartbeat deflate join soak",
	} {
		t.Run("of "+transport, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, &phoenixtest.Options{Compress: true})
			args := []string{"doctor", "room:1", "--json", "--url", server.URL()}
			if transport != "" {
				args = append(args, "--transport", transport)
			}
			if transport != "longpoll" {
				args = append(args, "--soak", "50ms")
			}
			got := phx(args...).Run(t)
			var steps []string
			for _, f := range findings(t, got) {
				steps = append(steps, f.Step)
				if f.Status != "ok" {
					t.Errorf("got %+v", f)
				}
			}
			if strings.Join(steps, " ") != want || got.Code != 0 {
				t.Errorf("exit code %d, steps %v, want %s", got.Code, steps, want)
			}
		})
	}
	if got := phx("doctor", "--transport", "longpoll", "--soak", "1s").Run(t); got.Code != 2 || !strings.Contains(got.Stderr, "--soak looks at WebSockets") {
		t.Errorf("soak of long poll: %v", got)
	}
}
