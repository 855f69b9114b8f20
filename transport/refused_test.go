package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// connectOnce makes one attempt to connect with secrets, and returns its error,
// which must not tell them.
func connectOnce(t *testing.T, endpoint string, client *http.Client) error {
	t.Helper()
	s, err := phoenix.NewSocket(endpoint+"?secret=hunter2", &phoenix.SocketOptions{
		HTTPClient: client,
		Params:     url.Values{"token": {"hunter2"}},
		AuthToken:  func(context.Context) (string, error) { return "hunter2", nil },
		RetryIf:    func(error) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Connect(t.Context())
	if err == nil {
		t.Fatal("Connect succeeded")
	}
	text := err.Error()
	if strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") || strings.Contains(text, "vsn=") || !strings.HasPrefix(text, "phoenix: ") {
		t.Errorf("the error is %q", text)
	}
	return err
}

func wantHandshakeError(t *testing.T, err error, status int) *phoenix.HandshakeError {
	t.Helper()
	var he *phoenix.HandshakeError
	if !errors.As(err, &he) || he.StatusCode != status {
		t.Fatalf("Connect = %v, want a HandshakeError with %d", err, status)
	}
	return he
}

func TestAPageInsteadOfASocketIsAHandshakeError(t *testing.T) {
	t.Parallel()
	page := "<html>" + strings.Repeat("welcome ", 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Reason", "because")
		io.WriteString(w, page)
	}))
	defer srv.Close()
	he := wantHandshakeError(t, connectOnce(t, srv.URL, nil), http.StatusOK)
	if string(he.Body) != page[:1024] || he.Header.Get("X-Reason") != "because" {
		t.Errorf("body of %d bytes, header %v", len(he.Body), he.Header)
	}
}

func TestARedirectToAnotherHostDoesNotCarryTheToken(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL+"/socket?token=hunter2", http.StatusTemporaryRedirect))
	defer srv.Close()
	he := wantHandshakeError(t, connectOnce(t, srv.URL, nil), http.StatusTemporaryRedirect)
	if reached.Load() {
		t.Error("the other host was asked")
	}
	if !strings.HasPrefix(he.Header.Get("Location"), other.URL) {
		t.Errorf("Header = %v, want the Location", he.Header)
	}
}

func TestARedirectToPlainTextDoesNotCarryTheToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer plain.Close()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+r.URL.Path, http.StatusFound)
	}))
	defer srv.Close()
	// Both schemes have the same host, as with the default ports.
	base, ok := srv.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client has a %T", srv.Client().Transport)
	}
	tr := base.Clone()
	dials := 0
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		dials++
		addr := srv.Listener.Addr()
		if dials > 1 {
			addr = plain.Listener.Addr()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr.String())
	}
	wantHandshakeError(t, connectOnce(t, "wss://example.com/socket", &http.Client{Transport: tr}), http.StatusFound)
	if asked.Load() != 0 {
		t.Error("the token went over the network in plain text")
	}
}

func TestARedirectOnTheSameHostIsFollowed(t *testing.T) {
	t.Parallel()
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if r.URL.Path == "/socket/websocket" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		http.Error(w, "not here", http.StatusGone)
	}))
	defer srv.Close()
	wantHandshakeError(t, connectOnce(t, srv.URL+"/socket", nil), http.StatusGone)
	if len(paths) != 2 || paths[1] != "/elsewhere" {
		t.Errorf("the paths asked for are %v", paths)
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	}))
	defer srv.Close()
	wantHandshakeError(t, connectOnce(t, srv.URL, nil), http.StatusFound)
	if got := asked.Load(); got != 10 {
		t.Errorf("%d requests, want 10", got)
	}
}

func TestAWrongAcceptKeyIsAHandshakeError(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: nonsense\r\n\r\n")
	}))
	defer srv.Close()
	he := wantHandshakeError(t, connectOnce(t, srv.URL, nil), http.StatusSwitchingProtocols)
	if he.Err == nil || !strings.Contains(he.Error(), "Sec-WebSocket-Accept") {
		t.Errorf("%v does not say what is wrong", he)
	}
}

func TestAClosedPortIsADialError(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	endpoint := srv.URL
	srv.Close()
	err := connectOnce(t, endpoint, nil)
	var oe *net.OpError
	if !errors.As(err, &oe) || oe.Op != "dial" || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Connect = %v", err)
	}
}

func TestTLSToAPlainPortIsAnError(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	err := connectOnce(t, strings.Replace(srv.URL, "http:", "wss:", 1), nil)
	if !strings.Contains(err.Error(), "HTTP response to HTTPS client") && !strings.Contains(err.Error(), "tls:") {
		t.Errorf("Connect = %v", err)
	}
}

func TestAServerThatHangsUpIsAnError(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	if err := connectOnce(t, srv.URL, nil); !errors.Is(err, io.EOF) {
		t.Errorf("Connect = %v", err)
	}
}

func TestTheLastFailureIsToldWithTheEndOfTheCtx(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.RefuseNext(-1, http.StatusServiceUnavailable, nil, "come back later")
		s := h.Socket(&phoenix.SocketOptions{Params: url.Values{"token": {"hunter2"}}})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		err := s.Connect(ctx)
		var he *phoenix.HandshakeError
		if !errors.As(err, &he) || !errors.Is(err, phoenix.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Connect = %v", err)
		}
		h.At(2500 * time.Millisecond)
		if got := s.Stats().Attempts; got != 3 {
			t.Errorf("%d attempts, want 3", got)
		}
	})
}

func TestTokenAndParamsArriveAsTheyWereGiven(t *testing.T) {
	harness.InBubble(t, &phoenixtest.Options{AuthToken: true, Connect: func(i *phoenixtest.ConnectInfo) error {
		if i.AuthToken != "hunter2~?\x7fé" || i.Params.Get("secret") != "a b&c" {
			return errors.New("no")
		}
		return nil
	}}, func(_ *testing.T, h *harness.Harness) {
		h.Connected(&phoenix.SocketOptions{
			AuthToken: func(context.Context) (string, error) { return "hunter2~?\x7fé", nil },
			Params:    url.Values{"secret": {"a b&c"}},
		})
	})
}
