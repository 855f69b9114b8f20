package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/internal/memnet"
)

// A tlsFront is a proxy that speaks TLS in front of a fake server.
type tlsFront struct {
	h      *harness.Harness
	server *tls.Config
	client *tls.Config
	writes atomic.Int64 // of the client to the network
}

func newTLSFront(t *testing.T, h *harness.Harness) *tlsFront {
	t.Helper()
	cert := httptest.NewTLSServer(nil) // for its certificate only
	cert.Close()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Certificate())
	return &tlsFront{
		h:      h,
		server: &tls.Config{Certificates: cert.TLS.Certificates},
		client: &tls.Config{RootCAs: roots, ServerName: "example.com"},
	}
}

func (f *tlsFront) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	back, err := f.h.Srv.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := memnet.Pipe(0)
	front := tls.Server(far, f.server)
	relay := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		_ = dst.Close()
		_ = src.Close()
	}
	go relay(back, front)
	go relay(front, back)
	return &writeCounter{near, &f.writes}, nil
}

func (f *tlsFront) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := f.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tc := tls.Client(c, f.client)
	return tc, tc.HandshakeContext(ctx)
}

type writeCounter struct {
	net.Conn
	n *atomic.Int64
}

func (c *writeCounter) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// transports are the ways in which the client can get beneath TLS, and the one
// in which it cannot.
func (f *tlsFront) transports() map[string]http.RoundTripper {
	return map[string]http.RoundTripper{
		"TLS by net/http": &http.Transport{DialContext: f.dial, TLSClientConfig: f.client},
		"TLS by the user": &http.Transport{DialTLSContext: f.dialTLS},
		"TLS by the user, without a ctx": &http.Transport{DialTLS: func(network, addr string) (net.Conn, error) { //nolint:staticcheck // somebody may still have it
			return f.dialTLS(context.Background(), network, addr)
		}},
		"a RoundTripper": harness.RoundTripper((&http.Transport{DialContext: f.dial, TLSClientConfig: f.client}).RoundTrip),
	}
}

func overTLS(t *testing.T, f func(t *testing.T, h *harness.Harness, name string, front *tlsFront, s *phoenix.Socket)) {
	t.Helper()
	for name := range (&tlsFront{}).transports() {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				front := newTLSFront(t, h)
				s, err := phoenix.NewSocket("wss://example.com/socket", &phoenix.SocketOptions{
					HTTPClient: &http.Client{Transport: front.transports()[name]},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				f(t, h, name, front, s)
			})
		})
	}
}

func TestABatchIsOneWriteUnderTLS(t *testing.T) {
	overTLS(t, func(t *testing.T, h *harness.Harness, name string, front *tlsFront, s *phoenix.Socket) {
		c := h.Channel(s, "room:slow", nil)
		go c.Join(t.Context())
		synctest.Wait()
		var pushes []*phoenix.Push
		for i := range 100 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		before := front.writes.Load()
		for i, p := range pushes {
			var n int
			reply, err := p.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := reply.Decode(&n); err != nil || n != i {
				t.Errorf("reply %d = %v, %v", i, n, err)
			}
		}
		want := int64(1)
		if name == "a RoundTripper" {
			want = 100
		}
		if got := front.writes.Load() - before; got != want {
			t.Errorf("%d writes, want %d", got, want)
		}
	})
}

func TestAPeerThatStopsReadingForAWhileUnderTLS(t *testing.T) {
	overTLS(t, func(t *testing.T, h *harness.Harness, _ string, _ *tlsFront, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		conn := h.Srv.Conns()[0]
		conn.Stall()
		big := strings.Repeat("x", 1<<20)
		push := c.PushAsync(t.Context(), "echo", big)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Push(ctx, "echo", 1); !errors.Is(err, phoenix.ErrTimeout) || time.Since(start) != time.Second {
			t.Errorf("Push = %v after %v", err, time.Since(start))
		}
		conn.Resume()
		if reply, err := push.Wait(t.Context()); err != nil || len(reply.Response.Bytes()) != len(big)+2 {
			t.Errorf("the push that was stuck: %v", err)
		}
		if _, err := c.Push(t.Context(), "echo", 1); err != nil || s.Stats().Connects != 1 {
			t.Errorf("Push = %v on connection %d", err, s.Stats().Connects)
		}
	})
}

func TestAPeerThatStopsReadingForGoodUnderTLS(t *testing.T) {
	overTLS(t, func(t *testing.T, h *harness.Harness, _ string, _ *tlsFront, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		h.Srv.Conns()[0].Stall()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Push(ctx, "echo", strings.Repeat("x", 1<<20))
		took := time.Since(start).Round(10 * time.Millisecond) // a millisecond more where the caller tries first
		if !errors.Is(err, phoenix.ErrConnectionLost) || phoenix.SafeToRetry(err) || took != 10*time.Second {
			t.Errorf("Push = %v after %v, want the end of WriteTimeout", err, took)
		}
	})
}

func TestCloseDoesNotWaitForADeafPeerUnderTLS(t *testing.T) {
	overTLS(t, func(t *testing.T, h *harness.Harness, _ string, _ *tlsFront, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		h.Srv.Conns()[0].Stall()
		push := c.PushAsync(t.Context(), "echo", strings.Repeat("x", 1<<20))
		time.Sleep(time.Second)
		start := time.Now()
		if err := s.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close = %v after %v, want at once", err, time.Since(start))
		}
		if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("the push: %v", err)
		}
	})
}
