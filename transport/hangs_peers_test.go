package transport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
)

// eachHostile runs f over each transport, with each kind of HTTP client, against
// each hostile peer that the transport can meet.
func eachHostile(t *testing.T, f func(t *testing.T, h *harness.Harness, url string, opts *phoenix.SocketOptions)) {
	t.Helper()
	t.Parallel()
	transports := map[string]func() phoenix.Transport{
		"websocket": func() phoenix.Transport { return phoenix.WebSocket(nil) },
		"longpoll":  func() phoenix.Transport { return phoenix.LongPoll(nil) },
		"fallback":  func() phoenix.Transport { return phoenix.Fallback(nil, nil, nil) },
	}
	for _, scheme := range []string{"ws", "wss"} {
		for peerName, p := range hostilePeers {
			for clientName, client := range harness.Clients {
				for transportName, transport := range transports {
					if scheme == "wss" && peerName != "deaf" || transportName == "longpoll" && peerName != "deaf" && scheme == "ws" &&
						(peerName == "half-open" || peerName == "trickles a frame") {
						continue
					}
					t.Run(fmt.Sprintf("%s %s/%s/%s", scheme, transportName, clientName, peerName), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							tr := p.Listen(t)
							h := &harness.Harness{T: t, Start: time.Now()}
							f(t, h, scheme+"://hostile/socket", &phoenix.SocketOptions{
								Transport: transport(), HTTPClient: client(tr), ReconnectBackoff: phoenix.Steps(time.Second),
							})
							tr.CloseIdleConnections()
						})
					})
				}
			}
		}
	}
}

func TestConnectEndsWithItsCtxWhateverThePeerDoes(t *testing.T) {
	eachHostile(t, func(t *testing.T, h *harness.Harness, url string, opts *phoenix.SocketOptions) {
		s, err := phoenix.NewSocket(url, opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err = s.Connect(ctx)
		wantRefusedOr(t, err, context.DeadlineExceeded)
		if h.Now() > 300*time.Millisecond+harness.Within {
			t.Errorf("Connect ended at %v", h.Now())
		}
		before := h.Now()
		_ = s.Close()
		harness.EndsAt(t, "Close", h.Now(), before)
	})
}

func TestCloseEndsAConnectWhateverThePeerDoes(t *testing.T) {
	eachHostile(t, func(t *testing.T, h *harness.Harness, url string, opts *phoenix.SocketOptions) {
		s, err := phoenix.NewSocket(url, opts)
		if err != nil {
			t.Fatal(err)
		}
		done := h.Spawn(func() (*phoenix.Reply, error) { return nil, s.Connect(t.Context()) })
		time.Sleep(200 * time.Millisecond)
		_ = s.Close()
		harness.EndsAt(t, "Close", h.Now(), 200*time.Millisecond)
		o := <-done
		wantRefusedOr(t, o.Err, phoenix.ErrClosed)
		if o.At > 200*time.Millisecond+harness.Within {
			t.Errorf("Connect ended at %v", o.At)
		}
	})
}

func TestAnAttemptEndsAtTimeoutWhateverThePeerDoes(t *testing.T) {
	eachHostile(t, func(t *testing.T, h *harness.Harness, url string, opts *phoenix.SocketOptions) {
		opts.Timeout, opts.HeartbeatTimeout = 2*time.Second, time.Second
		opts.RetryIf = func(error) bool { return false }
		s, err := phoenix.NewSocket(url, opts)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Connect(t.Context())
		if err == nil || h.Now() > 3*time.Second+harness.Within { // the first heartbeat has a timeout of its own
			t.Errorf("Connect = %v at %v", err, h.Now())
		}
		_ = s.Close()
	})
}

// wantRefusedOr checks that an attempt was refused, or ended with err.
func wantRefusedOr(t *testing.T, got, err error) {
	t.Helper()
	if he := (*phoenix.HandshakeError)(nil); !errors.As(got, &he) && !errors.Is(got, err) {
		t.Errorf("err = %v, want %v", got, err)
	}
}
