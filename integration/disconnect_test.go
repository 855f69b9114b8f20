package integration

import (
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"github.com/phxgo/phoenix"
)

func socketIs(st phoenix.SocketState) func(phoenix.SocketEvent) bool {
	return func(ev phoenix.SocketEvent) bool { return ev.State == st }
}

// A server disconnects every socket of a user, who comes back.
func TestDisconnectedByTheServer(t *testing.T) {
	everywhereBriskly(t, every(), func(t *testing.T, w *world) {
		user := rand.Text()
		topic := w.topic()
		phone, laptop := w.connected(w.as(user)), w.connected(w.as(user))
		opts := w.options()
		opts.Transport = phoenix.WebSocket(nil)
		stranger := w.connected(opts)
		c, other := w.joined(phone, topic), w.joined(laptop, topic)
		subs := map[*phoenix.Channel]*phoenix.Subscription{c: c.Subscribe(nil), other: other.Subscribe(nil)}
		events := map[*phoenix.Channel]*watch[phoenix.SocketEvent]{c: w.watchSocket(phone), other: w.watchSocket(laptop)}

		_, err := c.Push(w.ctx, "disconnect_me", nil)
		w.wantPushError("Push(disconnect_me)", err, phoenix.ErrConnectionLost)
		for c, events := range events {
			ev := events.until("the loss", func(ev phoenix.SocketEvent) bool { return ev.Err != nil })
			w.wantDisconnect(ev.Err)
			events.until("open again", socketIs(phoenix.SocketOpen))
			w.echoAfterLosses(c)
			w.wantDisconnect(w.gap(subs[c]))
		}
		w.echo(w.joined(stranger, topic))
		if n := stranger.Stats().Connects; n != 1 {
			t.Errorf("the stranger has had %d connections", n)
		}
	})
}

// wantDisconnect checks how a connection ended that the server no longer wanted.
func (w *world) wantDisconnect(err error) {
	w.t.Helper()
	var ce *phoenix.CloseError
	var pe *phoenix.PollError
	switch {
	case errors.As(err, &ce):
		// 1000 up to Phoenix 1.8.7, 1001 since.
		if ce.Code != 1000 && (ce.Code != 1001 || !w.server.authToken) {
			w.t.Errorf("closed with %d", ce.Code)
		}
	case errors.As(err, &pe):
		if pe.StatusCode != http.StatusGone {
			w.t.Errorf("ended with %d", pe.StatusCode)
		}
	default:
		w.t.Errorf("the connection ended with %v", err)
	}
}
