package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/memnet"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// Arrivals returns when joins arrived at the server.
func (h *Harness) Arrivals() *Recorder[time.Duration] {
	rec := &Recorder[time.Duration]{}
	h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event == phoenix.EventJoin {
			rec.Add(h.Now())
		}
		return false
	})
	return rec
}

// AsSent returns data in the form in which the transport can carry it both ways:
// as binary data, or with long poll as a JSON string.
func (h *Harness) AsSent(data []byte) []byte {
	if h.Polls {
		return fmt.Appendf(nil, `"%x"`, data)
	}
	return data
}

// DialPollLater opens a session while dials hang.
func (h *Harness) DialPollLater() transport.Conn {
	h.Srv.HangDials(false)
	c := h.DialPoll(nil, h.Srv.HTTPClient())
	h.Srv.HangDials(true)
	return c
}

// GoRejoin rejoins in a goroutine, until it waits.
func (h *Harness) GoRejoin(ctx context.Context, c *phoenix.Channel) <-chan Outcome {
	done := h.Spawn(func() (*phoenix.Reply, error) { return c.Rejoin(ctx) })
	synctest.Wait()
	return done
}

func (h *Harness) GoShutdown(ctx context.Context, s *phoenix.Socket) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	synctest.Wait()
	return done
}

// Heartbeats returns when the server received a heartbeat.
func (h *Harness) Heartbeats() []time.Duration {
	var times []time.Duration
	for _, f := range h.Srv.Frames() {
		if f.Kind == phoenixtest.FrameReceived && strings.Contains(string(f.Data), `"heartbeat"`) {
			times = append(times, f.Time.Sub(h.Start))
		}
	}
	return times
}

// JoinsWithABinaryReply begins a join of which the reply is binary, and twelve
// others behind it.
func (h *Harness) JoinsWithABinaryReply(s *phoenix.Socket, timeout time.Duration) (bad <-chan Outcome, good []<-chan Outcome) {
	h.T.Helper()
	h.Srv.Handle("binary:*", phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
		return phoenixtest.OK(phoenixtest.Binary{1, 2, 3})
	}})
	bad = h.GoJoin(h.T.Context(), h.Channel(s, "binary:1", &phoenix.ChannelOptions{Timeout: timeout}))
	for i := range 12 {
		good = append(good, h.GoJoin(h.T.Context(), h.Channel(s, fmt.Sprintf("room:%d", i), nil)))
	}
	return bad, good
}

// LastClose returns the end of a connection as the server saw it.
func (h *Harness) LastClose() phoenixtest.Frame {
	synctest.Wait()
	for _, f := range slices.Backward(h.Srv.Frames()) {
		if f.Kind == phoenixtest.ConnClosed {
			return f
		}
	}
	return phoenixtest.Frame{}
}

// Lasting makes each connection be cut some time after it was open.
func (h *Harness) Lasting(d time.Duration) {
	h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event != phoenix.EventHeartbeat {
			return false
		}
		_ = c.Reply(m, phoenixtest.OK(nil))
		if d == 0 {
			c.Close(1000, "")
		} else {
			time.AfterFunc(d, c.Cut)
		}
		return true
	})
}

// Say broadcasts events of these names on room:1, and waits until they are in.
func (h *Harness) Say(events ...string) {
	for _, e := range events {
		h.Srv.Broadcast("room:1", e, nil)
	}
	synctest.Wait()
}

func (h *Harness) Seen(events []phoenix.SocketEvent) []Seen {
	var all []Seen
	for _, ev := range events {
		s := Seen{State: ev.State, Attempt: ev.Attempt}
		if !ev.RetryAt.IsZero() {
			s.RetryIn = ev.RetryAt.Sub(h.Start)
		}
		all = append(all, s)
	}
	return all
}

// SlowJoins makes a route whose joins take 1.5 s each, as long as slow says so.
// The server makes them one after the other.
func (h *Harness) SlowJoins(slow func() bool) {
	h.Srv.Handle("slow:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if slow() {
				c.Sleep(1500 * time.Millisecond)
			}
			return phoenixtest.OK(nil)
		},
		Events: RoomChannel().Events,
	})
}

// Slowly returns an HTTP transport whose connections carry 300 bytes in each
// step to the server, once slow is closed.
func (h *Harness) Slowly(slow <-chan struct{}, step time.Duration) *http.Transport {
	l := memnet.Listen("slow", 300)
	h.T.Cleanup(func() {
		_ = l.Close()
		time.Sleep(2 * step) // they look up
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			next, err := h.Srv.DialContext(context.Background(), "", "")
			if err != nil {
				h.T.Error(err)
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, next)
			}()
			go func() {
				defer next.Close()
				buf := make([]byte, 300)
				for err := error(nil); err == nil; {
					var n int
					if n, err = c.Read(buf); n > 0 {
						_, err = next.Write(buf[:n])
					}
					select {
					case <-slow:
						time.Sleep(step)
					default:
					}
				}
			}()
		}
	}()
	return &http.Transport{DialContext: l.DialContext}
}

// transports returns what the connections of the server so far were made over,
// in order: "w" or "l" for each.
func (h *Harness) transports() string {
	var all strings.Builder
	for _, f := range h.Srv.Frames() {
		if f.Kind != phoenixtest.ConnOpened {
			continue
		}
		if strings.Contains(f.Note, "/longpoll") {
			all.WriteString("l")
		} else {
			all.WriteString("w")
		}
	}
	return all.String()
}

// WantOpenOver checks what the newest connection is over. The server notices
// only later that a long-poll session is no longer polled.
func (h *Harness) WantOpenOver(want string) {
	h.T.Helper()
	synctest.Wait()
	conns := h.Srv.Conns()
	if len(conns) == 0 {
		h.T.Errorf("at %v there is no connection", h.Now())
	} else if got := conns[len(conns)-1].Transport(); got != want {
		h.T.Errorf("at %v the connection is over %s, want %s", h.Now(), got, want)
	}
}

func (h *Harness) WantTransports(want string) {
	h.T.Helper()
	synctest.Wait()
	if got := h.transports(); got != want {
		h.T.Errorf("at %v the connections were over %q, want %q", h.Now(), got, want)
	}
}

func (Untraced) Value(any) any { return nil }

// Closed reports whether a channel is closed.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// RejoinDelay is what the harness's RejoinBackoff says.
const RejoinDelay = time.Second
