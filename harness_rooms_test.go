package phoenix_test

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
)

// arrivals returns when joins arrived at the server.
func (h *harness) arrivals() *recorder[time.Duration] {
	rec := &recorder[time.Duration]{}
	h.srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event == phoenix.EventJoin {
			rec.add(h.now())
		}
		return false
	})
	return rec
}

// asSent returns data in the form in which the transport can carry it both ways:
// as binary data, or with long poll as a JSON string.
func (h *harness) asSent(data []byte) []byte {
	if h.polls {
		return fmt.Appendf(nil, `"%x"`, data)
	}
	return data
}

// dialPollLater opens a session while dials hang.
func (h *harness) dialPollLater() phoenix.Conn {
	h.srv.HangDials(false)
	c := h.dialPoll(nil, h.srv.HTTPClient())
	h.srv.HangDials(true)
	return c
}

// goRejoin rejoins in a goroutine, until it waits.
func (h *harness) goRejoin(ctx context.Context, c *phoenix.Channel) <-chan outcome {
	done := h.spawn(func() (*phoenix.Reply, error) { return c.Rejoin(ctx) })
	synctest.Wait()
	return done
}

func (h *harness) goShutdown(ctx context.Context, s *phoenix.Socket) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	synctest.Wait()
	return done
}

// heartbeats returns when the server received a heartbeat.
func (h *harness) heartbeats() []time.Duration {
	var times []time.Duration
	for _, f := range h.srv.Frames() {
		if f.Kind == phoenixtest.FrameReceived && strings.Contains(string(f.Data), `"heartbeat"`) {
			times = append(times, f.Time.Sub(h.start))
		}
	}
	return times
}

// joinsWithABinaryReply begins a join of which the reply is binary, and twelve
// others behind it.
func (h *harness) joinsWithABinaryReply(s *phoenix.Socket, timeout time.Duration) (bad <-chan outcome, good []<-chan outcome) {
	h.t.Helper()
	h.srv.Handle("binary:*", phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
		return phoenixtest.OK(phoenixtest.Binary{1, 2, 3})
	}})
	bad = h.goJoin(h.t.Context(), h.channel(s, "binary:1", &phoenix.ChannelOptions{Timeout: timeout}))
	for i := range 12 {
		good = append(good, h.goJoin(h.t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), nil)))
	}
	return bad, good
}

// lastClose returns the end of a connection as the server saw it.
func (h *harness) lastClose() phoenixtest.Frame {
	synctest.Wait()
	for _, f := range slices.Backward(h.srv.Frames()) {
		if f.Kind == phoenixtest.ConnClosed {
			return f
		}
	}
	return phoenixtest.Frame{}
}

// lasting makes each connection be cut some time after it was open.
func (h *harness) lasting(d time.Duration) {
	h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
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

// say broadcasts events of these names on room:1, and waits until they are in.
func (h *harness) say(events ...string) {
	for _, e := range events {
		h.srv.Broadcast("room:1", e, nil)
	}
	synctest.Wait()
}

func (h *harness) seen(events []phoenix.SocketEvent) []seen {
	var all []seen
	for _, ev := range events {
		s := seen{state: ev.State, attempt: ev.Attempt}
		if !ev.RetryAt.IsZero() {
			s.retryIn = ev.RetryAt.Sub(h.start)
		}
		all = append(all, s)
	}
	return all
}

// slowJoins makes a route whose joins take 1.5 s each, as long as slow says so.
// The server makes them one after the other.
func (h *harness) slowJoins(slow func() bool) {
	h.srv.Handle("slow:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if slow() {
				c.Sleep(1500 * time.Millisecond)
			}
			return phoenixtest.OK(nil)
		},
		Events: roomChannel().Events,
	})
}

// slowly returns an HTTP transport whose connections carry 300 bytes in each
// step to the server, once slow is closed.
func (h *harness) slowly(slow <-chan struct{}, step time.Duration) *http.Transport {
	l := memnet.Listen("slow", 300)
	h.t.Cleanup(func() {
		_ = l.Close()
		time.Sleep(2 * step) // they look up
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			next, err := h.srv.DialContext(context.Background(), "", "")
			if err != nil {
				h.t.Error(err)
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
func (h *harness) transports() string {
	var all strings.Builder
	for _, f := range h.srv.Frames() {
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

// wantOpenOver checks what the newest connection is over. The server notices
// only later that a long-poll session is no longer polled.
func (h *harness) wantOpenOver(want string) {
	h.t.Helper()
	synctest.Wait()
	conns := h.srv.Conns()
	if len(conns) == 0 {
		h.t.Errorf("at %v there is no connection", h.now())
	} else if got := conns[len(conns)-1].Transport(); got != want {
		h.t.Errorf("at %v the connection is over %s, want %s", h.now(), got, want)
	}
}

func (h *harness) wantTransports(want string) {
	h.t.Helper()
	synctest.Wait()
	if got := h.transports(); got != want {
		h.t.Errorf("at %v the connections were over %q, want %q", h.now(), got, want)
	}
}

func (untraced) Value(any) any { return nil }

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// rejoinDelay is what the harness's RejoinBackoff says.
const rejoinDelay = time.Second
