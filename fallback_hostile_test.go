package phoenix_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

func TestFallbackCountsAnOutageOfSeveralSocketsOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		shared := phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil)
		for range 4 {
			h.connected(&phoenix.SocketOptions{Transport: shared})
		}
		for range 2 {
			time.Sleep(20 * time.Second)
			h.srv.Down()
			h.srv.Up()
			time.Sleep(time.Second)
		}
		h.wantTransports(strings.Repeat("w", 12))
		time.Sleep(20 * time.Second)
		h.srv.Down() // the third in a row
		h.srv.Up()
		time.Sleep(time.Second)
		h.wantTransports(strings.Repeat("w", 12) + "llll")
	})
}

func TestFallbackFromMessagesThatAreTooBig(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(&phoenix.SocketOptions{
			Transport:      phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil),
			MaxMessageSize: 1000,
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.joined(s, "room:1", nil)
		for range 4 {
			h.srv.Broadcast("room:1", "big", strings.Repeat("x", 2000))
			time.Sleep(5 * time.Second)
		}
		h.wantTransports("wwwww")
	})
}

type dialFunc func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error)

func (f dialFunc) Dial(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	return f(ctx, req)
}

func TestFallbackWithAShortMemoryDoesNotSpin(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var tries atomic.Int64
		s := h.socket(&phoenix.SocketOptions{Transport: phoenix.Fallback(
			dialFunc(func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) {
				tries.Add(1)
				return nil, errors.New("no WebSockets here")
			}),
			phoenix.LongPoll(nil), &phoenix.FallbackOptions{Memory: time.Nanosecond})})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.until(time.Minute + time.Second)
		if n := tries.Load(); n != 1+12 {
			t.Errorf("%d tries in a minute", n)
		}
	})
}

func TestStatsOfAProbe(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Delay(10*time.Millisecond, 10*time.Millisecond)
		plain, probed := h.connected(nil), h.withFallback(nil)
		if err := probed.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, got := plain.Stats(), probed.Stats()
		if got != want {
			t.Errorf("Stats = %+v\nwithout a fallback: %+v", got, want)
		}
	})
}

func TestFallbackTriesThePrimaryWhenTheSecondaryFails(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var down atomic.Bool
		shared := phoenix.Fallback(phoenix.WebSocket(nil), dialFunc(func(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
			if down.Load() {
				return nil, &phoenix.HandshakeError{StatusCode: http.StatusNotFound}
			}
			return phoenix.LongPoll(nil).Dial(ctx, req)
		}), nil)
		h.srv.BlockUpgrade(true)
		h.connected(&phoenix.SocketOptions{Transport: shared})
		h.srv.BlockUpgrade(false)
		down.Store(true)
		if err := h.socket(&phoenix.SocketOptions{Transport: shared}).Connect(t.Context()); err != nil {
			t.Errorf("Connect = %v", err)
		}
		h.wantTransports("lw")
	})
}

func TestFallbackOfNoTransports(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.connected(&phoenix.SocketOptions{Transport: phoenix.Fallback(nil, nil, nil)})
		h.wantTransports("w")
		h.srv.BlockUpgrade(true)
		h.connected(&phoenix.SocketOptions{Transport: phoenix.Fallback(nil, nil, nil)})
		h.wantTransports("wl")
	})
}
