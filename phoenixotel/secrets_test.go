package phoenixotel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

const secret = "SFMyNTY.a-token-that-nobody-may-see.c2lnbmF0dXJl"

// hostile is an application that repeats the secret wherever a server can say something.
func hostile() phoenixtest.Channel {
	type ctx = phoenixtest.Context
	type payload = phoenixtest.Payload
	leak := map[string]string{"reason": secret, secret: secret}
	return phoenixtest.Channel{
		Join: func(c *ctx, _ payload) phoenixtest.Reply {
			if c.Topic() == "room:deny" {
				return phoenixtest.Error(leak)
			}
			return phoenixtest.OK(leak)
		},
		Default: func(c *ctx, event string, _ payload) phoenixtest.Reply {
			c.Broadcast(secret, leak)
			c.Broadcast("shout", leak)
			switch event {
			case "refuse":
				return phoenixtest.Error(leak)
			case "odd":
				return phoenixtest.Status(secret, leak)
			}
			return phoenixtest.OK(leak)
		},
	}
}

// TestNoSecretIsInAnAttribute has a server say the token in each way that it has, and
// the program push it, join with it and connect with it.
func TestNoSecretIsInAnAttribute(t *testing.T) {
	for name, transport := range map[string]phoenix.Transport{"websocket": phoenix.WebSocket(nil), "longpoll": phoenix.LongPoll(nil)} {
		t.Run(name, func(t *testing.T) {
			phoenixtest.Bubble(t, &phoenixtest.Options{AuthToken: true}, func(t *testing.T, server *phoenixtest.Server) {
				server.Handle("room:*", hostile())
				tel := newTelemetry(t)
				leakEverything(t, server, tel, transport)
				wantNoSecret(t, tel)
			})
		})
	}
}

func leakEverything(t *testing.T, server *phoenixtest.Server, tel *telemetry, transport phoenix.Transport) {
	t.Helper()
	server.RefuseNext(1, 503, http.Header{"X-Leak": {secret}, "Set-Cookie": {"a=" + secret}}, secret)
	socket := connected(t, server, phoenix.SocketOptions{
		Transport: phoenixotel.Transport(transport), Trace: phoenixotel.Trace(&tel.opts), ReconnectBackoff: phoenix.Steps(time.Second),
		RejoinBackoff: phoenix.Steps(time.Second),
		Params:        url.Values{"token": {secret}}, Header: http.Header{"X-Token": {secret}},
		AuthToken: func(context.Context) (string, error) { return secret, nil },
		Timeout:   5 * time.Second,
	})
	observer, err := phoenixotel.Observe(&tel.opts, socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { observer.Close() })
	room, err := socket.Channel("room:"+secret, &phoenix.ChannelOptions{Params: map[string]string{"token": secret}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	deny, err := socket.Channel("room:deny", &phoenix.ChannelOptions{Params: map[string]string{"token": secret}})
	if err != nil {
		t.Fatal(err)
	}
	deny.Join(t.Context())
	room.On("shout", func(*phoenix.Message) {})
	payload := map[string]string{"token": secret}
	room.Push(t.Context(), "ok", payload)
	room.Push(t.Context(), "refuse", payload)
	if reply, _ := room.Push(t.Context(), "odd", payload); reply == nil || reply.Status != secret {
		t.Errorf("the reply is %v", reply)
	}
	room.Cast(t.Context(), "ok", payload)
	room.Push(t.Context(), "bad", []byte(secret))

	conn := server.Conns()[0]
	p := room.PushAsync(t.Context(), "scripted", payload)
	topic := room.Topic()
	for _, m := range []phoenixtest.Message{
		{Topic: topic, Event: secret, Payload: phoenixtest.Payload{}},
		{Topic: secret, Event: secret, Payload: phoenixtest.Payload{}},
	} {
		if err := conn.Send(m); err != nil {
			t.Log(err)
		}
	}
	p.Wait(t.Context())
	conn.SendRaw(phoenixtest.OpText, []byte(secret))
	conn.SendRaw(phoenixtest.OpText, fmt.Appendf(nil, `["3","999",%q,"phx_reply",{"status":%q,"response":{}}]`, topic, secret))
	conn.Close(4000, secret)
	time.Sleep(30 * time.Second) // over long poll, a poll of 10 s is answered first
	if socket.State() != phoenix.SocketOpen {
		t.Errorf("after all: %v", socket.State())
	}
}

// wantNoSecret looks at all that was exported.
func wantNoSecret(t *testing.T, tel *telemetry) {
	t.Helper()
	spans := tel.spans.GetSpans()
	for _, s := range spans {
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, secret) || len(s.Events) > 0 {
			t.Errorf("span %s", text)
		}
	}
	var data metricdata.ResourceMetrics
	if err := tel.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", tel.metrics())
	if strings.Contains(text, secret) {
		t.Error(text)
	}
	for _, part := range []string{"messaging.client.consumed.messages", "phoenix.client.disconnects", "phoenix.client.gaps"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	if len(spans) < 10 {
		t.Errorf("only %d spans", len(spans))
	}
}
