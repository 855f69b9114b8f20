package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/memnet"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

const secret = "a secret key base of a test"

const transcript = `a token among the params: joined room:lobby as ann
a token as auth token: joined room:lobby as ann
no token: refused with status 403, because it is missing
a guess: refused with status 403, because it is invalid
a token for something else: refused with status 403, because it is invalid
a token of last month: refused with status 403, because it is expired
a wrong password: login refused: 401 Unauthorized
half the life of a token later: renewed, and joined again as ann, three times
the server was away for longer than a token lives: joined again as ann, with a new one
the account is closed: login refused: 401 Unauthorized, and the socket gives up
`

// A world is what the play needs, on networks in memory.
type world struct {
	cfg    config
	signer *token.Signer
	login  *loginService
	srv    *server
}

func newWorld(t *testing.T, life time.Duration) *world {
	t.Helper()
	signer, err := token.NewSigner(secret, nil)
	if err != nil {
		t.Fatal("NewSigner: ", err)
	}
	srv, err := startServer(signer, phoenixtest.InMemory)
	if err != nil {
		t.Fatal("startServer: ", err)
	}
	lis := memnet.Listen("login.test", memnet.DefaultBuffer)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "login.test:") {
			return lis.DialContext(ctx, network, addr)
		}
		return srv.DialContext(ctx, network, addr)
	}}
	login := newLoginService(signer, life)
	stop := serve(lis, login)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := errors.Join(stop(), srv.Close()); err != nil {
			t.Error("closing: ", err)
		}
	})
	return &world{
		cfg:    config{url: srv.URL(), client: &http.Client{Transport: transport}, topic: "room:lobby", loginURL: "http://login.test/"},
		signer: signer, login: login, srv: srv,
	}
}

func TestPlay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10*time.Minute)
		start := time.Now()
		var stdout bytes.Buffer
		if err := play(t.Context(), w.cfg, w.signer, w.login, w.srv, &stdout); err != nil {
			t.Error("play: ", err)
		}
		if diff := cmp.Diff(transcript, stdout.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
		// Three halves of a token's life, one life during the outage, in whose middle
		// the client began to try, and half a life until it asks again.
		if took := time.Since(start); took < 30*time.Minute || took > 31*time.Minute {
			t.Errorf("it took %v, want about 30m", took)
		}
	})
}

// TestPlayFails makes sure that what should not be is an error.
func TestPlayFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(w *world)
		want  string
	}{
		{
			"another secret",
			func(w *world) { w.srv.signer, _ = token.NewSigner("the secret of somebody else", nil) },
			"a token among the params: phoenix: the server answered the handshake with HTTP status 403 Forbidden",
		},
		{
			"another user",
			func(w *world) {
				w.cfg.topic = "attic"
				w.srv.Handle("attic", phoenixtest.Channel{
					Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
						return phoenixtest.OK(map[string]any{"user": "bob"})
					},
				})
			},
			`a token among the params of ann: the server says "bob"`,
		},
		{
			"no login service",
			func(w *world) { w.cfg.loginURL = "http://login.test:80:80/" },
			"a token among the params: ",
		},
		{
			"a room that is not there",
			func(w *world) { w.cfg.topic = "cellar" },
			"a token among the params: phoenix: join",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, time.Minute)
				tt.spoil(w)
				err := play(t.Context(), w.cfg, w.signer, w.login, w.srv, io.Discard)
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("play: got error %v, want it to begin with %s", err, tt.want)
				}
			})
		})
	}
}

// TestKeepFresh renews a token when half of its life is over, and stops with ctx.
func TestKeepFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour)
		c, err := newClient(w.cfg, ann, true)
		if err != nil {
			t.Fatal("newClient: ", err)
		}
		defer c.socket.Close()
		if _, err := c.enter(t.Context()); err != nil {
			t.Fatal("enter: ", err)
		}
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var renewals []time.Duration
		done := make(chan error)
		go func() {
			done <- c.keepFresh(ctx, func() { renewals = append(renewals, time.Since(start)) })
		}()
		time.Sleep(45 * time.Minute)
		// The connection is lost, and 50 ms later made again with another token.
		w.srv.Conns()[0].Cut()
		time.Sleep(time.Hour)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("keepFresh: got error %v, want context.Canceled", err)
		}
		want := []time.Duration{30 * time.Minute, 75*time.Minute + 50*time.Millisecond}
		if diff := cmp.Diff(want, renewals); diff != "" {
			t.Errorf("renewals (-want +got):\n%s", diff)
		}
	})
}

// TestKeepFreshEnds returns what made the socket give up.
func TestKeepFreshEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour)
		c, err := newClient(w.cfg, ann, false)
		if err != nil {
			t.Fatal("newClient: ", err)
		}
		if _, err := c.enter(t.Context()); err != nil {
			t.Fatal("enter: ", err)
		}
		if err := c.socket.Close(); err != nil {
			t.Fatal("Close: ", err)
		}
		if err := c.keepFresh(t.Context(), func() { t.Error("renewed") }); !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("keepFresh of a closed socket: got error %v, want ErrClosed", err)
		}
	})
}

// TestLogIn has what the service may answer, and whether it is worth another try.
func TestLogIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 90*time.Second)
		g, err := logIn(t.Context(), w.cfg.client, w.cfg.loginURL, ann)
		if err != nil || g.ExpiresIn != 90 {
			t.Errorf("logIn: got %v s, %v, want 90", g.ExpiresIn, err)
		}
		if name, err := token.VerifyFor[string](w.signer, salt, g.Token); err != nil || name != ann.name {
			t.Errorf("the token is for %q, %v", name, err)
		}
	})
	for _, tt := range []struct {
		status    int
		body      string
		permanent bool
	}{
		{http.StatusUnauthorized, "", true},
		{http.StatusForbidden, "", true},
		{http.StatusInternalServerError, "", false},
		{http.StatusOK, "{", false},
	} {
		lis := memnet.Listen("login.test", memnet.DefaultBuffer)
		stop := serve(lis, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}))
		client := &http.Client{Transport: &http.Transport{DialContext: lis.DialContext}}
		_, err := logIn(t.Context(), client, "http://login.test/", ann)
		var permanent *backoff.PermanentError
		if err == nil || errors.As(err, &permanent) != tt.permanent {
			t.Errorf("status %d: got error %v, want one that is permanent: %t", tt.status, err, tt.permanent)
		}
		if strings.Contains(err.Error(), ann.password) {
			t.Errorf("status %d: the error has the password", tt.status)
		}
		client.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error("stop: ", err)
		}
	}
}

// TestURL runs against a server elsewhere, over TCP and outside of a bubble.
func TestURL(t *testing.T) {
	t.Parallel()
	signer, err := token.NewSigner(secret, nil)
	if err != nil {
		t.Fatal("NewSigner: ", err)
	}
	srv, err := startServer(signer, phoenixtest.TCP)
	if err != nil {
		t.Fatal("startServer: ", err)
	}
	defer srv.Close()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-url", srv.URL(), "-life", "1s"}, secret, &stdout, &stderr); err != nil {
		t.Error("run -url: ", err)
	}
	var want strings.Builder
	for line := range strings.Lines(transcript) {
		if strings.HasPrefix(line, "the server was away") {
			continue // it is not ours
		}
		line, _, _ = strings.Cut(strings.TrimSpace(line), ", because it is ")
		want.WriteString(line + "\n")
	}
	if diff := cmp.Diff(want.String(), stdout.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   []string
		secret string
		want   string
	}{
		{[]string{"-url", "ws://localhost:1/socket"}, "", "-url needs the server's secret_key_base in the environment variable SECRET_KEY_BASE"},
		{[]string{"-url", "ws://localhost:1/socket"}, "short", "token: the secret key base has less than 20 bytes"},
		{[]string{"-nonsense"}, "", "flag provided but not defined: -nonsense"},
	} {
		err := run(t.Context(), tt.args, tt.secret, io.Discard, io.Discard)
		if err == nil || err.Error() != tt.want {
			t.Errorf("run %v: got error %v, want %s", tt.args, err, tt.want)
		}
	}
}
