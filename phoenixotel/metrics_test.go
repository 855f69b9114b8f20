package phoenixotel_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestMetricsTellWhatHappens(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		server.RefuseNext(1, 503, nil, "")
		socket := connected(t, server, phoenix.SocketOptions{
			Trace: phoenixotel.Trace(&tel.opts), ReconnectBackoff: phoenix.Steps(time.Second),
		})
		c := joined(t, socket, "room:1")
		joined(t, socket, "room:2")
		for range 3 {
			c.Push(t.Context(), "ping", nil)
		}
		c.Push(t.Context(), "refuse", nil)
		c.Cast(t.Context(), "silent", nil)
		c.Cast(t.Context(), "silent", []byte("cannot be sent"))
		slow := c.Subscribe(&phoenix.SubscribeOptions{Limit: 2})
		for range 5 {
			server.Broadcast("room:1", "shout", nil)
		}
		server.Conns()[0].SendRaw(phoenixtest.OpText, []byte("no message"))
		time.Sleep(31 * time.Second) // a heartbeat

		const (
			at   = "messaging.operation.name="
			room = "messaging.destination.template=room:*,"
		)
		tel.wantMetrics("messaging.client.operation.duration", map[string]string{
			"{error.type=503," + at + "connect,server.address=phoenix.test,server.port=80}":            "1 in 0s",
			"{" + at + "connect,server.address=phoenix.test,server.port=80}":                           "1 in 0s",
			"{" + room + at + "join,phoenix.status=ok}":                                                "2 in 0s",
			"{" + room + at + "push,phoenix.event=ping,phoenix.status=ok}":                             "3 in 0.09s",
			"{error.type=reply_error," + room + at + "push,phoenix.event=refuse,phoenix.status=error}": "1 in 0s",
			"{" + room + at + "cast,phoenix.event=silent}":                                             "1 in 0s",
			"{error.type=invalid_input," + room + at + "cast,phoenix.event=silent}":                    "1 in 0s",
		})
		tel.wantMetrics("messaging.client.sent.messages", map[string]string{
			"{" + room + at + "push,phoenix.event=ping,phoenix.status=ok}":                             "3",
			"{error.type=reply_error," + room + at + "push,phoenix.event=refuse,phoenix.status=error}": "1",
			"{" + room + at + "cast,phoenix.event=silent}":                                             "1",
			// And none for the cast that never left.
		})
		tel.wantMetrics("messaging.client.consumed.messages", map[string]string{"{" + room + at + "receive}": "5"})
		tel.wantMetrics("phoenix.client.messages.dropped", map[string]string{
			"{" + room + "phoenix.reason=slow_consumer}": "3", "{phoenix.reason=protocol_error}": "1",
		})
		tel.wantMetrics("phoenix.client.heartbeat.duration", map[string]string{"{}": "2 in 0s"})
		slow.Close()
	})
}

func TestAnObserverAddsUpItsSockets(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		tel.opts.Attributes = []attribute.KeyValue{attribute.String("who", "me")}
		first := connected(t, server, phoenix.SocketOptions{})
		observer, err := phoenixotel.Observe(&tel.opts, first)
		if err != nil {
			t.Fatal(err)
		}
		defer observer.Close()
		second := connected(t, server, phoenix.SocketOptions{})
		observer.Add(second)
		joined(t, first, "room:1")
		c := joined(t, second, "room:1")
		if _, err := second.Channel("room:new", nil); err != nil {
			t.Fatal(err)
		}
		c.PushAsync(t.Context(), "silent", nil)
		first.Reconnect(t.Context())
		want := func(connections, closed, joined, inFlight string) {
			t.Helper()
			tel.wantMetrics("phoenix.client.connections", map[string]string{
				"{phoenix.state=connecting,who=me}": "0", "{phoenix.state=disconnected,who=me}": "0",
				"{phoenix.state=open,who=me}": connections, "{phoenix.state=waiting,who=me}": "0",
			})
			tel.wantMetrics("phoenix.client.channels", map[string]string{
				"{phoenix.state=closed,who=me}": closed, "{phoenix.state=joining,who=me}": "0", "{phoenix.state=joined,who=me}": joined,
				"{phoenix.state=errored,who=me}": "0", "{phoenix.state=leaving,who=me}": "0",
			})
			tel.wantMetrics("phoenix.client.push.queue.depth", map[string]string{
				"{phoenix.state=in_flight,who=me}": inFlight, "{phoenix.state=parked,who=me}": "0",
				"{phoenix.state=queued,who=me}": "0", "{phoenix.state=waiting_for_room,who=me}": "0",
			})
			tel.wantMetrics("phoenix.client.push.queue.size", map[string]string{"{who=me}": "0"})
			tel.wantMetrics("phoenix.client.reconnects", map[string]string{"{who=me}": "1"})
			tel.wantMetrics("phoenix.client.trace.dropped", map[string]string{"{who=me}": "0"})
		}
		want("2", "1", "2", "1")
		first.Close()
		for range 2 { // what a closed socket has counted stays, and is not counted again
			want("1", "1", "1", "1")
		}
	})
}

func TestThereAreFewSeries(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		tel.opts.Statuses = []string{"later"}
		trace := phoenixotel.Trace(&tel.opts)
		done := func(topic, event, status string) {
			info := phoenix.PushStartInfo{Topic: topic, Event: event}
			ctx := trace.PushStart(t.Context(), info)
			trace.PushDone(ctx, phoenix.PushDoneInfo{PushStartInfo: info, Reply: &phoenix.Reply{Status: status}})
		}
		for i := range 1000 {
			done(fmt.Sprintf("user:%d", i), "e", "ok")
			done(fmt.Sprintf("%d:user", i), "e", "ok")
			done("user:1", fmt.Sprint("event", i), "ok")
			done("user:1", "e", fmt.Sprint("status", i))
		}
		done("user:1", "e", "later")
		done("user:1", strings.Repeat("e", 1000), "ok")
		series := 0
		for name := range tel.metrics() {
			if strings.HasPrefix(name, "messaging.client.sent.messages") {
				series++
			}
		}
		// 100 templates and _OTHER, 99 more events and _OTHER, two more statuses.
		if series != 101+100+2 {
			t.Errorf("%d series", series)
		}
		for name, n := range map[string]string{
			"messaging.destination.template=user:*,messaging.operation.name=push,phoenix.event=e,phoenix.status=_OTHER":  "1000",
			"messaging.destination.template=user:*,messaging.operation.name=push,phoenix.event=e,phoenix.status=later":   "1",
			"messaging.destination.template=_OTHER,messaging.operation.name=push,phoenix.event=e,phoenix.status=ok":      "901",
			"messaging.destination.template=user:*,messaging.operation.name=push,phoenix.event=_OTHER,phoenix.status=ok": "902",
		} {
			if got := tel.metrics()["messaging.client.sent.messages{"+name+"}"]; got != n {
				t.Errorf("%s: %s, expected %s", name, got, n)
			}
		}
	})
}

func TestErrorTypesAreWordsOfAList(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("%w: %w", phoenix.ErrConnectionLost, &phoenix.CloseError{Code: 1012})
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("mine"), "_OTHER"},
		{&phoenix.ReplyError{Status: "error"}, "reply_error"},
		{&phoenix.PushError{Sent: true, Err: lost}, "connection_lost"},
		{&phoenix.PushError{Err: phoenix.ErrQueueFull}, "queue_full"},
		{&phoenix.PushError{Err: fmt.Errorf("%w: %w", phoenix.ErrNotJoined, &phoenix.ReplyError{})}, "not_joined"},
		{&phoenix.PushError{Err: context.Canceled}, "canceled"},
		{fmt.Errorf("%w: %w", phoenix.ErrNotConnected, lost), "not_connected"},
		{phoenix.ErrTimeout, "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{phoenix.ErrClosedByServer, "closed_by_server"},
		{phoenix.ErrChannelClosed, "channel_closed"},
		{&phoenix.HandshakeError{StatusCode: 403}, "403"},
		{&phoenix.HandshakeError{StatusCode: 799}, "http_other"},
		{&phoenix.PollError{StatusCode: 410}, "410"},
		{&phoenix.CloseError{Code: 1012}, "close_1012"},
		{&phoenix.CloseError{Code: 4321}, "close_other"},
		{&phoenix.InputError{Field: "x"}, "invalid_input"},
		{&net.DNSError{Name: "example.invalid"}, "dns"},
		{x509.UnknownAuthorityError{}, "tls"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "refused"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "reset"},
		{&net.OpError{Op: "read", Err: errors.New("odd")}, "network"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, "timeout"},
		{fmt.Errorf("%w: GET of the long poll: %w", errors.New("lost"), slowError{}), "timeout"},
		{io.ErrUnexpectedEOF, "eof"},
	} {
		if got := phoenixotel.ErrorType(c.err); got != c.want {
			t.Errorf("ErrorType(%v) is %q, expected %q", c.err, got, c.want)
		}
	}
}

// slowError is as the error of a long poll that heard nothing, or of net/http.
type slowError struct{}

func (slowError) Error() string { return "no answer" }
func (slowError) Timeout() bool { return true }
