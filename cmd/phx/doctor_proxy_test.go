package main_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// A proxied is an environment with a proxy, and what the doctor has to say of it. The
// host of the URL is one that only the proxy knows: net/http never uses a proxy for
// this machine.
type proxied struct {
	scheme string
	args   []string
	env    func(t *testing.T) []string
	cause  string
	status string
	code   int
	do     string // a part of what to do
}

// The user and the password of each proxy: the doctor must not show them.
const proxyUser = "someone:hunter2"

// inEnvironment sets a variable to the URL of a proxy that behaves as handle says.
func inEnvironment(variable string, handle func(t *testing.T) http.HandlerFunc) func(*testing.T) []string {
	return func(t *testing.T) []string {
		proxy := httptest.NewServer(handle(t))
		t.Cleanup(proxy.Close)
		return []string{variable + "=http://" + proxyUser + "@" + strings.TrimPrefix(proxy.URL, "http://")}
	}
}

func proxies() map[string]proxied {
	fixed := func(env ...string) func(*testing.T) []string {
		return func(*testing.T) []string { return env }
	}
	return map[string]proxied{
		"a proxy that forwards":       {"ws", nil, inEnvironment("HTTP_PROXY", forward), "proxy_used", "note", 0, "NO_PROXY"},
		"a variable in small letters": {"ws", nil, inEnvironment("http_proxy", forward), "proxy_used", "note", 0, "NO_PROXY"},
		"a proxy with a bad URL":      {"ws", nil, fixed("HTTP_PROXY=http://" + proxyUser + "@[::1"), "bad_proxy", "failed", 6, "HTTP_PROXY"},
		"a bad URL for wss":           {"wss", nil, fixed("HTTPS_PROXY=http://" + proxyUser + "@[::1"), "bad_proxy", "failed", 6, "HTTPS_PROXY"},
		"a proxy without a scheme":    {"ws", nil, fixed("HTTP_PROXY=" + proxyUser + "@[::1"), "bad_proxy", "failed", 6, "http://HOST:PORT"},
		"a proxy of another kind":     {"ws", nil, fixed("HTTP_PROXY=ftp://" + proxyUser + "@127.0.0.1:21"), "bad_proxy", "failed", 6, "http://HOST:PORT"},
		"a proxy that wants a user":   {"ws", nil, inEnvironment("HTTP_PROXY", answer(407)), "proxy_refused", "failed", 5, "USER:PASSWORD"},
		"a user for wss":              {"wss", nil, inEnvironment("HTTPS_PROXY", answer(407)), "proxy_refused", "failed", 5, "USER:PASSWORD"},
		"a proxy that forbids":        {"wss", nil, inEnvironment("HTTPS_PROXY", answer(403)), "proxy_refused", "failed", 5, "phoenix.test:443"},
		"a user for long poll":        {"wss", []string{"--transport", "longpoll"}, inEnvironment("HTTPS_PROXY", answer(407)), "proxy_refused", "failed", 5, "USER:PASSWORD"},
		"a plain long poll":           {"ws", []string{"--transport", "longpoll"}, inEnvironment("HTTP_PROXY", answer(407)), "proxy_refused", "failed", 5, "USER:PASSWORD"},
		"a proxy that is down": {
			"ws", nil, func(t *testing.T) []string { return []string{"HTTP_PROXY=http://" + proxyUser + "@" + closedPort(t)} },
			"port_closed", "failed", 6, "Start the proxy",
		},
		"a proxy with an unknown name": {"ws", nil, fixed("HTTP_PROXY=http://" + proxyUser + "@host.invalid:3128"), "name_unknown", "failed", 6, "the spelling of the proxy"},
		"a host that NO_PROXY has": {"ws", nil, func(t *testing.T) []string {
			return []string{"HTTP_PROXY=http://" + closedPort(t), "NO_PROXY=.test"}
		}, "name_unknown", "failed", 6, "VPN"},
	}
}

// forward is a proxy for plain HTTP and WebSocket in front of a good server.
func forward(t *testing.T) http.HandlerFunc {
	server := newServer(t, nil)
	backend := "127.0.0.1:" + portOf(t, server.URL())
	reverse := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", backend },
		ErrorLog: log.New(t.Output(), "", 0), // a client that leaves is no fault
	}
	t.Cleanup(func() { server.Close() }) // a long poll may still wait
	return reverse.ServeHTTP
}

func portOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// answer is a proxy that refuses everything.
func answer(status int) func(*testing.T) http.HandlerFunc {
	return func(*testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
}

// TestDoctorBehindAProxy has the environment say which proxy to use.
func TestDoctorBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, tt := range proxies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := phx("doctor", "--json", "--url", tt.scheme+"://phoenix.test/socket")
			cmd.Args = append(cmd.Args, tt.args...)
			cmd.Env = tt.env(t)
			got := cmd.Run(t)
			if tt.status == "note" {
				// It is not encrypted, either.
				expectFinding(t, got, "plain_text", "warning", tt.code)
			} else {
				expectFinding(t, got, tt.cause, tt.status, tt.code)
			}
			var do string
			for _, f := range findings(t, got) {
				if f.Cause == tt.cause {
					do = f.Do
				}
				if name == "a host that NO_PROXY has" && f.Step == "proxy" {
					t.Errorf("a finding about a proxy: %+v", f)
				}
			}
			if !strings.Contains(do, tt.do) {
				t.Errorf("with cause %s it says to do %q, want a part %q", tt.cause, do, tt.do)
			}
			if strings.Contains(got.Stdout+got.Stderr, "hunter2") {
				t.Error("the password of the proxy is shown")
			}
			if t.Failed() {
				t.Logf("%s%s", got.Stdout, got.Stderr)
			}
		})
	}
}

// TestDoctorThroughATunnel reaches a server with TLS by CONNECT.
func TestDoctorThroughATunnel(t *testing.T) {
	t.Parallel()
	target, args := tlsServer(soundCertificate, "127.0.0.1", false)(t)
	backend := "127.0.0.1:" + portOf(t, target)
	cmd := phx(append([]string{"doctor", "room:1", "--json", "--insecure", "--url", "wss://phoenix.test/socket"}, args...)...)
	cmd.Env = inEnvironment("HTTPS_PROXY", func(*testing.T) http.HandlerFunc { return tunnel(backend) })(t)
	got := cmd.Run(t)
	expectFinding(t, got, "proxy_used", "note", 0)
	if !strings.Contains(got.Stdout, "joined room:1") || strings.Contains(got.Stdout+got.Stderr, "hunter2") {
		t.Errorf("got %v", got)
	}
}

// tunnel is a proxy for CONNECT, which always leads to the backend.
func tunnel(backend string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		server, err := net.Dial("tcp", backend)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer server.Close()
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		go func() {
			defer server.Close()
			_, _ = io.Copy(server, buffered) // until one of the two hangs up
		}()
		_, _ = io.Copy(client, server) // the same
	}
}
