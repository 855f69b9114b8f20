package integration

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/phxgo/phoenix"
)

func TestBinary(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(t *testing.T, w *world) {
		s := w.connected(nil)
		joined := w.channel(s, "room:binary", nil)
		w.equal("the reply to the join", w.join(joined).Response, phoenix.Binary("joined"))

		topic := w.topic()
		c := w.joined(s, topic)
		sub := c.Subscribe(nil)
		other := w.joined(w.connected(nil), topic).Subscribe(nil)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for _, data := range [][]byte{{}, {0}, all, []byte(`{"no":"json"}`), bytes.Repeat(all, 3000)} {
			w.equal("the echo", w.push(c, "echo", phoenix.Binary(data)), phoenix.Binary(data))
			w.equal("the reply to shout_bin", w.push(c, "shout_bin", phoenix.Binary(data)), phoenix.Binary(data))
			for _, sub := range []*phoenix.Subscription{sub, other} {
				m := w.next(sub)
				if m.Event != "shout_bin" || m.Topic != topic || m.JoinRef != "" {
					t.Errorf("got %+v", m)
				}
				w.equal("the broadcast", m.Payload, phoenix.Binary(data))
			}
		}
		if err := c.Cast(w.ctx, "push_bin", nil); err != nil {
			t.Fatal(err)
		}
		m := w.next(sub)
		if m.Event != "bin" || m.JoinRef == "" {
			t.Errorf("got %+v", m)
		}
		w.equal("the push", m.Payload, phoenix.Binary{0, 1, 2, 0xFF})
		var got []byte
		if err := m.Decode(&got); err != nil || !bytes.Equal(got, []byte{0, 1, 2, 0xFF}) {
			t.Errorf("Decode = %v, %v", got, err)
		}
		w.echo(c)
	})
}

// A status other than ok may come with binary data as well.
func TestBinaryError(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(t *testing.T, w *world) {
		c := w.room()
		reply, err := c.Push(w.ctx, "err", phoenix.Binary{1, 0, 255})
		if err == nil || reply == nil || reply.Status != "error" {
			t.Fatalf("Push = %v, %v", reply, err)
		}
		w.equal("the response", reply.Response, phoenix.Binary{1, 0, 255})
	})
}

// A binary frame has room for 255 bytes of topic, each of which the server takes.
func TestBinaryInALongTopic(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(_ *testing.T, w *world) {
		topic := w.topic()
		topic += strings.Repeat("ü", (255-len(topic))/2)
		c := w.joined(w.connected(nil), topic)
		w.equal("the echo", w.push(c, "echo", phoenix.Binary("data")), phoenix.Binary("data"))
	})
}

// Over long poll binary messages go to the server whatever their bytes are.
func TestBinaryToTheServer(t *testing.T) {
	everywhere(t, []transport{longPoll()}, func(_ *testing.T, w *world) {
		topic := w.topic()
		opts := w.options()
		opts.Transport = phoenix.WebSocket(nil)
		witness := w.joined(w.connected(opts), topic).Subscribe(nil)
		c := w.joined(w.connected(nil), topic)
		for _, data := range [][]byte{{}, {0, 1, 2, 0xFF, '\n'}, bytes.Repeat([]byte{0xFF, '\r', '\n'}, 10_000)} {
			w.push(c, "shout_others", phoenix.Binary(data))
			w.equal("the broadcast", w.next(witness).Payload, phoenix.Binary(data))
		}
		w.echo(c)
	})
}

// Over long poll those come back whose bytes are UTF-8.
func TestBinaryTextOverLongPoll(t *testing.T) {
	everywhere(t, []transport{longPoll()}, func(t *testing.T, w *world) {
		s := w.connected(nil)
		w.equal("the reply to the join", w.join(w.channel(s, "room:binary", nil)).Response, phoenix.Binary("joined"))
		topic := w.topic()
		c := w.joined(s, topic)
		sub := c.Subscribe(nil)
		for _, data := range []string{"", "\x00\x01\x02", "[1]", "\"\\/\b\f\n\r\t\x7f", "\u00e9\u2028\U0001f642\ufffd", strings.Repeat("text\n", 20_000)} {
			w.equal("the echo", w.push(c, "echo", phoenix.Binary(data)), phoenix.Binary(data))
			w.equal("the reply to shout_bin", w.push(c, "shout_bin", phoenix.Binary(data)), phoenix.Binary(data))
			m := w.next(sub)
			if m.Event != "shout_bin" || m.Topic != topic {
				t.Errorf("got %+v", m)
			}
			w.equal("the broadcast", m.Payload, phoenix.Binary(data))
		}
		if n := s.Stats().ProtocolErrors; n != 0 {
			t.Errorf("%d protocol errors", n)
		}
	})
}

// A server that has a binary message for a client of long poll whose bytes are not
// UTF-8 fails, which is a lost connection.
func TestBinaryOverLongPoll(t *testing.T) {
	everywhere(t, []transport{longPoll()}, func(t *testing.T, w *world) {
		c := w.room()
		sub := c.Subscribe(nil)
		if err := c.Cast(w.ctx, "push_bin", nil); err != nil {
			t.Fatal(err)
		}
		gap := w.gap(sub)
		var pe *phoenix.PollError
		if !errors.As(gap, &pe) || pe.StatusCode != http.StatusInternalServerError {
			t.Errorf("the gap is because of %v", gap.Err)
		}
		w.echoAfterLosses(c)
	})
}
