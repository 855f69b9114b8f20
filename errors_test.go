package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	payload := func(s string) phoenix.Payload { return phoenix.NewPayload([]byte(s), false) }
	for want, err := range map[string]error{
		"phoenix: socket closed":                                                                               phoenix.ErrClosed,
		"phoenix: timed out":                                                                                   phoenix.ErrTimeout,
		"phoenix: bad SocketOptions.X: too small":                                                              &phoenix.InputError{Field: "SocketOptions.X", Reason: "too small"},
		"phoenix: bad payload: no: unexpected EOF":                                                             &phoenix.InputError{Field: "payload", Reason: "no", Err: io.ErrUnexpectedEOF},
		`phoenix: join on "t": status "error": unauthorized`:                                                   &phoenix.ReplyError{Topic: "t", Event: "phx_join", Status: "error", Response: payload(`{"reason":"unauthorized"}`)},
		`phoenix: push "e" on "t": status "busy"`:                                                              &phoenix.ReplyError{Topic: "t", Event: "e", Status: "busy", Response: payload(`[1]`)},
		`phoenix: push "e\n" on "t": status "error"`:                                                           &phoenix.ReplyError{Topic: "t", Event: "e\n", Status: "error", Response: phoenix.NewPayload([]byte(`{"reason":"x"}`), true)},
		`phoenix: push "e" on "t": never sent: timed out`:                                                      &phoenix.PushError{Topic: "t", Event: "e", Err: phoenix.ErrTimeout},
		`phoenix: push "e" on "t": sent, outcome unknown: EOF`:                                                 &phoenix.PushError{Topic: "t", Event: "e", Sent: true, Err: io.EOF},
		"phoenix: the server answered the handshake with HTTP status 403 Forbidden":                            &phoenix.HandshakeError{StatusCode: 403, Header: http.Header{"Token": {"hunter2"}}, Body: []byte("hunter2")},
		"phoenix: the server answered the handshake with HTTP status 599":                                      &phoenix.HandshakeError{StatusCode: 599},
		"phoenix: the server answered the handshake with HTTP status 101 Switching Protocols: EOF":             &phoenix.HandshakeError{StatusCode: 101, Err: io.EOF},
		"phoenix: connection closed by the server with code 1000":                                              &phoenix.CloseError{Code: 1000},
		`phoenix: connection closed by the server with code 1001 ("going\n")`:                                  &phoenix.CloseError{Code: 1001, Reason: "going\n"},
		"phoenix: slow consumer: 3 messages dropped here":                                                      &phoenix.DroppedError{N: 3},
		"phoenix: messages may be missing here: the channel was rejoined after: channel crashed on the server": &phoenix.GapError{Err: phoenix.ErrChannelCrashed},
		"phoenix: undecodable text frame of 7 bytes: why: EOF":                                                 &phoenix.ProtocolError{Reason: "why", Err: io.EOF, Size: 7},
		"phoenix: undecodable binary frame of 0 bytes: why":                                                    &phoenix.ProtocolError{Reason: "why", Binary: true},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%T: %q, want %q", err, got, want)
		}
	}
}

func TestErrorsUnwrapToTheirCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, err := range []error{
		&phoenix.InputError{Err: cause}, &phoenix.PushError{Err: cause}, &phoenix.HandshakeError{Err: cause},
		&phoenix.GapError{Err: cause}, &phoenix.ProtocolError{Err: cause},
	} {
		if !errors.Is(err, cause) {
			t.Errorf("%T does not wrap its cause", err)
		}
	}
	if !errors.Is(phoenix.ErrTimeout, context.DeadlineExceeded) || errors.Is(context.DeadlineExceeded, phoenix.ErrTimeout) {
		t.Error("ErrTimeout has to match context.DeadlineExceeded, and not the other way round")
	}
	var timeout interface{ Timeout() bool }
	if !errors.As(phoenix.ErrTimeout, &timeout) || !timeout.Timeout() {
		t.Error("ErrTimeout is no timeout in the sense of package net")
	}
	for err, want := range map[error]bool{
		nil:                   false,
		phoenix.ErrTimeout:    false,
		&phoenix.PushError{}:  true,
		&phoenix.ReplyError{}: false,
		&phoenix.PushError{Sent: true, Err: phoenix.ErrTimeout}:                           false,
		fmt.Errorf("wrapped: %w", &phoenix.PushError{Err: phoenix.ErrQueueFull}):          true,
		errors.Join(errors.New("other"), &phoenix.PushError{Err: phoenix.ErrClosed}):      true,
		errors.Join(errors.New("other"), &phoenix.PushError{Sent: true, Err: io.EOF}):     false,
		&phoenix.GapError{Err: &phoenix.PushError{Sent: true, Err: phoenix.ErrNotJoined}}: false,
	} {
		if got := phoenix.SafeToRetry(err); got != want {
			t.Errorf("SafeToRetry(%v) = %v, want %v", err, got, want)
		}
	}
}

func TestTimeoutsAndCancellationsMatchWhatTheyAre(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(&phoenix.SocketOptions{Timeout: 3 * time.Second}), "room:1", nil)
		cause := errors.New("the user went away")
		for name, tc := range map[string]struct {
			ctx     func() (context.Context, context.CancelFunc)
			is, not []error
		}{
			"Timeout":  {func() (context.Context, context.CancelFunc) { return t.Context(), func() {} }, []error{phoenix.ErrTimeout, context.DeadlineExceeded}, []error{context.Canceled}},
			"deadline": {func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), time.Second) }, []error{phoenix.ErrTimeout, context.DeadlineExceeded}, []error{context.Canceled}},
			"deadline with a cause": {func() (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(t.Context(), time.Second, cause)
			}, []error{phoenix.ErrTimeout, context.DeadlineExceeded, cause}, nil},
			"cancellation": {func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(t.Context())
				stop := time.AfterFunc(time.Second, func() { cancel(cause) })
				return ctx, func() { stop.Stop() }
			}, []error{context.Canceled, cause}, []error{phoenix.ErrTimeout, context.DeadlineExceeded}},
		} {
			ctx, cancel := tc.ctx()
			_, err := c.Push(ctx, "silent", nil)
			cancel()
			var pe *phoenix.PushError
			if !errors.As(err, &pe) || !pe.Sent || phoenix.SafeToRetry(err) {
				t.Errorf("%s: %v", name, err)
			}
			for _, target := range tc.is {
				if !errors.Is(err, target) {
					t.Errorf("%s: %v is not %v", name, err, target)
				}
			}
			for _, target := range tc.not {
				if errors.Is(err, target) {
					t.Errorf("%s: %v is %v", name, err, target)
				}
			}
		}
	})
}

func TestTooManyChannelsIsRecognized(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{MaxChannels: 1}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		_, err := h.Channel(s, "room:2", nil).Join(t.Context())
		if !errors.Is(err, phoenix.ErrTooManyChannels) || !errors.Is(fmt.Errorf("join: %w", err), phoenix.ErrTooManyChannels) {
			t.Errorf("Join = %v", err)
		}
		_, err = h.Channel(s, "room:deny", nil).Join(t.Context())
		var re *phoenix.ReplyError
		if !errors.As(err, &re) || errors.Is(nil, phoenix.ErrTooManyChannels) {
			t.Errorf("Join = %v", err)
		}
	})
}

func TestTheJSONLibraryIsTheUsers(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var marshalled, unmarshalled harness.Recorder[string]
		out := "[\n1]"
		s := h.Connected(&phoenix.SocketOptions{
			Marshal: func(v any) ([]byte, error) {
				marshalled.Add(fmt.Sprint(v))
				if v == "fail" {
					return nil, io.ErrUnexpectedEOF
				}
				if v == "broken" {
					return []byte("{"), nil
				}
				if v == "latin" {
					return []byte("\"\xe9\""), nil
				}
				return []byte(out), nil
			},
			Unmarshal: func(data []byte, v any) error {
				unmarshalled.Add(string(data))
				return json.Unmarshal(data, v)
			},
		})
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Params: "params"})
		got, err := phoenix.PushFor[[]int](t.Context(), c, "echo", "a")
		if err != nil || len(got) != 1 || got[0] != 1 {
			t.Errorf("PushFor = %v, %v", got, err)
		}
		if _, err := phoenix.PushFor[string](t.Context(), c, "echo", "b"); err == nil {
			t.Error("PushFor decoded an array into a string")
		}
		for _, payload := range []string{"fail", "broken", "latin"} {
			_, err := c.Push(t.Context(), "echo", payload)
			checkUnsent(t, payload, err, "payload")
			if payload == "fail" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v does not wrap Marshal's error", err)
			}
		}
		// What is JSON already needs no library.
		for _, payload := range []any{nil, json.RawMessage("{}"), phoenix.Binary("x")} {
			if err := c.Cast(t.Context(), "echo", payload); err != nil {
				t.Errorf("Cast(%v): %v", payload, err)
			}
		}
		harness.WantItems(t, "Marshal", marshalled.List(), "params", "a", "b", "fail", "broken", "latin")
		harness.WantItems(t, "Unmarshal", unmarshalled.List(), "[1]", "[1]")
	})
}

// A join waits for those that were written before it, not for those behind it.
func TestALostJoinTimesOutThoughOthersAreAnswered(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
			return m.Topic == "room:lost" && m.Event == phoenix.EventJoin
		})
		s := h.Connected(nil)
		lost := h.GoJoin(t.Context(), h.Channel(s, "room:lost", nil))
		other := h.Channel(s, "room:other", nil)
		for range 4 {
			time.Sleep(4 * time.Second)
			if _, err := other.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := other.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		o := <-lost
		harness.WantIs(t, o.Err, phoenix.ErrTimeout)
		if o.At != 10*time.Second {
			t.Errorf("the join ended at %v", o.At)
		}
	})
}

// What can never be sent, Shutdown does not wait for.
func TestShutdownEndsWithADisconnect(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Timeout: -1})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		p := c.PushAsync(t.Context(), "echo", 1)
		down := h.Spawn(func() (*phoenix.Reply, error) { return nil, s.Shutdown(context.Background()) })
		synctest.Wait()
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-down
		_, err := p.Wait(t.Context())
		if !phoenix.SafeToRetry(err) {
			t.Errorf("the push that waited: %v", err)
		}
		h.At(0)
	})
}

// A Connect that reacts to the loss makes the next attempt at once.
func TestAConnectRightAfterALossDoesNotWaitForTheBackoff(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		got := make(chan error, 1)
		lost := make(chan struct{})
		tell := sync.OnceFunc(func() { close(lost) })
		s := h.Socket(&phoenix.SocketOptions{
			ReconnectBackoff: phoenix.Steps(time.Minute),
			Trace: &phoenix.Trace{Disconnected: func(error) {
				tell()
				time.Sleep(time.Millisecond) // let the Connect in before the backoff begins
			}},
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-lost
			got <- s.Connect(t.Context())
		}()
		h.Conn().Cut()
		if err := <-got; err != nil {
			t.Error(err)
		}
		if h.Now() > time.Second {
			t.Errorf("connected at %v", h.Now())
		}
	})
}

// The library beneath has no deadline while it skips a frame.
func TestDisconnectEndsThoughAFrameStopsComing(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		reading, goOn := make(chan struct{}, 100), make(chan struct{})
		var hold atomic.Bool
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{FrameIn: func(phoenix.Frame) {
			if hold.Load() {
				reading <- struct{}{}
				<-goOn
			}
		}}})
		conn := h.Conn()
		h.Joined(s, "room:1", nil)
		hold.Store(true)
		conn.Stall() // no answer to the close frame
		if err := conn.SendRaw(phoenixtest.OpText, []byte(`[null,null,"room:1","e",1]`)); err != nil {
			t.Fatal(err)
		}
		<-reading // the reader is between two frames
		done := h.Spawn(func() (*phoenix.Reply, error) { return nil, s.Disconnect(context.Background()) })
		synctest.Wait()
		if err := conn.SendBytes([]byte{0x81, 0x7e, 0x10, 0x00, 'x'}); err != nil { // the rest never comes
			t.Fatal(err)
		}
		synctest.Wait()
		close(goOn)
		if o := <-done; o.At > 10*time.Second {
			t.Errorf("Disconnect returned at %v", o.At)
		}
	})
}

// A bangConn is a net.Conn of the user's.
type bangConn struct {
	net.Conn
	bang  *atomic.Bool
	doing func()
}

func (c *bangConn) Write(p []byte) (int, error) {
	if c.bang.CompareAndSwap(true, false) {
		c.doing()
	}
	return c.Conn.Write(p)
}

// banging returns a client whose connections do something in the next Write after bang.
func banging(h *harness.Harness, bang *atomic.Bool, doing func()) *http.Client {
	base := h.Srv.HTTPClient().Transport.(*http.Transport) //nolint:forcetypeassert // as documented
	dial := base.Clone()
	dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := base.DialContext(ctx, network, addr)
		return &bangConn{c, bang, doing}, err
	}
	return &http.Client{Transport: dial}
}

func TestAConnThatEndsTheGoroutineOfTheFirstHeartbeatWedgesNothing(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var bang atomic.Bool
		writes := 0
		client := banging(h, &bang, func() {
			bang.Store(writes == 0)
			if writes++; writes == 2 { // behind the request
				runtime.Goexit()
			}
		})
		bang.Store(true)
		s := h.Socket(&phoenix.SocketOptions{HTTPClient: client})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := s.Connect(ctx); err != nil || writes != 2 {
			t.Errorf("Connect = %v after %d writes", err, writes)
		}
		h.At(time.Second)
	})
}

func TestAJoinWhoseCallerRecoversFromAPanicIsGivenUp(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var bang atomic.Bool
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: banging(h, &bang, func() { panic("bang") })})
		c := h.Channel(s, "room:1", nil)
		bang.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			_, _ = c.Join(t.Context())
		}()
		if c.State() != phoenix.ChannelClosed {
			t.Errorf("the channel is %v", c.State())
		}
		if _, err := c.Join(t.Context()); err != nil { // on the next connection
			t.Error(err)
		}
	})
}

// A panic in code of the user's is the program's own, but it may recover, as net/http
// does. A net.Conn is the only code of the user's that writes on a caller's goroutine.
func TestARecoveredPanicDoesNotKeepTheWriter(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var bang atomic.Bool
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: banging(h, &bang, func() { panic("bang") })})
		c := h.Joined(s, "room:1", nil)
		bang.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			_, _ = c.Push(t.Context(), "echo", 1)
		}()
		if _, err := c.Push(t.Context(), "echo", 2); err != nil { // on the next connection
			t.Error(err)
		}
		if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("something has no outcome: %+v", st)
		}
		bang.Store(true)
		func() {
			defer func() { _ = recover() }()
			_ = c.Cast(t.Context(), "echo", 3)
		}()
		if st := s.Stats(); st.CastsLost != 1 {
			t.Errorf("%d casts lost, want 1", st.CastsLost)
		}
	})
}

// wrappingWebSocket returns a Transport whose Conns are wrapped.
func wrappingWebSocket(wrap func(transport.Conn) transport.Conn) phoenix.Transport {
	return harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
		c, err := phoenix.WebSocket(nil).Dial(ctx, req)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	})
}

// refusing is a Transport that does not work.
var refusing = harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
	return nil, errUnfit
})

// A hollowError is a transport.Redactor that returns nothing.
type hollowError struct{}

func (hollowError) Error() string                                             { return "hollow" }
func (hollowError) Redacted(func([]string) []string, func(error) error) error { return nil }

// Code of the user's that returns neither a value nor an error makes an error, or has
// the default in its place. It panics on no goroutine of the socket's.
func TestCodeOfTheUsersThatReturnsNothingMakesNoPanic(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		nothing := harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) { return nil, nil })
		hollow := harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) { return nil, hollowError{} })
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		input := (*phoenix.InputError)(nil)
		for name, c := range map[string]struct {
			opts *phoenix.SocketOptions
			want any // that the error is; nil: any error
		}{
			"Dial":              {&phoenix.SocketOptions{Transport: nothing}, &input},
			"Dial of a primary": {&phoenix.SocketOptions{Transport: phoenix.Fallback(nothing, refusing, nil)}, nil},
			"Dial of both":      {&phoenix.SocketOptions{Transport: phoenix.Fallback(nothing, nothing, nil)}, &input},
			"DialContext":       {&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil},
			"RoundTrip": {&phoenix.SocketOptions{HTTPClient: h.Over(func(http.RoundTripper, *http.Request) (*http.Response, error) {
				return nil, nil
			})}, nil},
			"Redacted":         {&phoenix.SocketOptions{Transport: hollow}, new(hollowError)},
			"ReconnectBackoff": {&phoenix.SocketOptions{Transport: refusing, ReconnectBackoff: func() backoff.BackOff { return nil }}, nil},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			err := h.Socket(c.opts).Connect(ctx)
			cancel()
			if err == nil || c.want != nil && !errors.As(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s := h.Connected(&phoenix.SocketOptions{RejoinBackoff: func() backoff.BackOff { return nil }})
		c := h.Joined(s, "room:1", nil)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		if c.State() != phoenix.ChannelJoined {
			t.Errorf("without a RejoinBackoff the channel is %v", c.State())
		}
	})
}

// A restingConn is a Conn of the user's that is told when nothing is in flight.
type restingConn struct {
	transport.Conn
	rest func()
}

func (c *restingConn) Rest() { c.rest() }

func TestAConnRestsUnderNoLockAndWhileNothingIsWritten(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var joined atomic.Pointer[phoenix.Channel]
		var rests atomic.Int32
		var written *phoenix.Push
		s := h.Connected(&phoenix.SocketOptions{Transport: wrappingWebSocket(func(c transport.Conn) transport.Conn {
			return &restingConn{c, func() {
				ch := joined.Load()
				s := ch.Socket()
				before := s.Stats().FramesOut
				written = ch.PushAsync(t.Context(), "echo", 1)
				if now := s.Stats().FramesOut; now != before {
					t.Error("a frame was written while the Conn rested")
				}
				rests.Add(1)
			}}
		})})
		joined.Store(h.Joined(s, "room:1", nil))
		time.Sleep(3 * time.Minute)
		if rests.Load() == 0 {
			t.Fatal("the Conn never rested")
		}
		if _, err := written.Wait(t.Context()); err != nil {
			t.Errorf("a push while the Conn rested: %v", err)
		}
	})
}

// A choosyConn is a Conn of the user's that does not carry some frames.
type choosyConn struct {
	transport.Conn
	empty *atomic.Int32
}

var errUnfit = errors.New("unfit")

func (*choosyConn) CheckFrame(f phoenix.Frame) error {
	if strings.Contains(string(f.Data), "unfit") {
		return errUnfit
	}
	return nil
}

func (c *choosyConn) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	if len(frames) == 0 {
		c.empty.Add(1)
	}
	return c.Conn.WriteFrames(frames, deadline)
}

func TestAConnThatCarriesNoneOfTheFramesIsNotAskedToWrite(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var empty atomic.Int32
		s := h.Connected(&phoenix.SocketOptions{Transport: wrappingWebSocket(func(c transport.Conn) transport.Conn {
			return &choosyConn{c, &empty}
		})})
		c := h.Joined(s, "room:1", nil)
		for range 3 {
			_, err := c.Push(t.Context(), "echo", "unfit")
			harness.WantPushError(t, err, false, errUnfit)
		}
		if empty.Load() > 0 {
			t.Error("WriteFrames was called without frames")
		}
		if _, err := c.Push(t.Context(), "echo", "fit"); err != nil {
			t.Error(err)
		}
	})
}
