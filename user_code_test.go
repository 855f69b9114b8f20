package phoenix_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// A userConn is a Conn of a user's that does something of its own first.
type userConn struct {
	transport.Conn
	read, write, close func()
}

func (c *userConn) ReadFrame() (phoenix.Frame, error) {
	f, err := c.Conn.ReadFrame()
	c.read()
	return f, err
}

func (c *userConn) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	c.write()
	return c.Conn.WriteFrames(frames, deadline)
}

func (c *userConn) Close(ctx context.Context, code int, reason string) error {
	c.close()
	return c.Conn.Close(ctx, code, reason)
}

// handlerFunc is a slog.Handler.
type handlerFunc func(slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool        { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error { f(r); return nil }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f handlerFunc) WithGroup(string) slog.Handler                 { return f }
func nothing()                                                      {}

// A levelHandler is a slog.Handler that is asked for its level.
type levelHandler struct {
	enabled func(slog.Level) bool
	handle  func(slog.Record)
}

func (h levelHandler) Enabled(_ context.Context, l slog.Level) bool  { return h.enabled(l) }
func (h levelHandler) Handle(_ context.Context, r slog.Record) error { h.handle(r); return nil }
func (h levelHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h levelHandler) WithGroup(string) slog.Handler                 { return h }

// A userSerializer is a Serializer of a user's that does something of its own first.
type userSerializer struct {
	phoenix.Serializer
	encode, decode func()
}

func (s userSerializer) Encode(dst []byte, m *phoenix.Message) (phoenix.Frame, error) {
	s.encode()
	return s.Serializer.Encode(dst, m)
}

func (s userSerializer) Decode(f phoenix.Frame, m *phoenix.Message) error {
	s.decode()
	return s.Serializer.Decode(f, m)
}

// A checkingConn is a Conn of a user's that looks at each frame.
type checkingConn struct {
	transport.Conn
	check func()
}

func (c *checkingConn) CheckFrame(phoenix.Frame) error { c.check(); return nil }

// userCodeNames are the keys of userCode.
var userCodeNames = []string{
	"ParamsFunc", "AuthToken", "HeaderFunc", "DialContext", "RoundTripper", "Dial", "Dial beneath a fallback",
	"ReadFrame", "WriteFrames", "Close", "Logger", "Logger of frames", "Enabled",
	"Encode", "Decode", "CheckFrame", "CheckFrame beneath a fallback", "ConnectStart", "ConnectDone", "JoinStart", "JoinDone",
	"Disconnected", "Heartbeat", "FrameIn", "FrameOut", "RetryIf",
}

// Whatever of the user's blocks for ever, each call ends with its ctx, and Close
// does not wait for it. Done does.
func TestEverythingEndsWithItsCtxThoughCodeOfTheUsersBlocks(t *testing.T) {
	for _, name := range userCodeNames {
		for _, after := range []string{"from the start", "once connected"} {
			t.Run(name+" "+after, func(t *testing.T) {
				harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
					var blocking, blocked atomic.Bool
					release := make(chan struct{})
					opts := withUserCode(h, func() {
						if blocking.Load() {
							blocked.Store(true)
							<-release
						}
					})[name]
					s := h.Socket(opts)
					defer close(release) // before the socket is waited for
					blocking.Store(after == "from the start")
					within1s := func(what string, f func(ctx context.Context)) {
						t.Helper()
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						start := h.Now()
						f(ctx)
						if took := h.Now() - start; took > time.Second+harness.Within {
							t.Errorf("%s took %v", what, took)
						}
					}
					c := h.Channel(s, "room:1", nil)
					for range 2 {
						within1s("Connect", func(ctx context.Context) { _ = s.Connect(ctx) })
						within1s("Join", func(ctx context.Context) { _, _ = c.Join(ctx) })
						blocking.Store(true)
						within1s("Push", func(ctx context.Context) { _, _ = c.Push(ctx, "echo", 1) })
						within1s("Cast", func(ctx context.Context) { _ = c.Cast(ctx, "echo", 1) })
						within1s("Wait", func(ctx context.Context) { _, _ = c.PushAsync(ctx, "echo", 1).Wait(ctx) })
						within1s("Ping", func(ctx context.Context) { _, _ = s.Ping(ctx) })
						within1s("Next", func(ctx context.Context) {
							sub := c.Subscribe(nil)
							defer sub.Close()
							_, _ = sub.Next(ctx)
						})
						within1s("Messages", func(ctx context.Context) {
							for range s.Messages(ctx) {
							}
						})
						within1s("Reconnect", func(ctx context.Context) { _ = s.Reconnect(ctx) })
						within1s("Leave", func(ctx context.Context) { _ = c.Leave(ctx) })
						within1s("Disconnect", func(ctx context.Context) { _ = s.Disconnect(ctx) })
					}
					within1s("Connect", func(ctx context.Context) { _ = s.Connect(ctx) })
					shut := make(chan struct{})
					go func() {
						defer close(shut)
						within1s("Shutdown", func(ctx context.Context) { _ = s.Shutdown(ctx) })
					}()
					time.Sleep(100 * time.Millisecond)
					before := h.Now()
					_ = s.Close()
					harness.EndsAt(t, "Close", h.Now(), before)
					<-shut
					harness.EndsAt(t, "Shutdown", h.Now(), before)
					// With long poll the goroutine is that of an HTTP transport of the user's.
					if blocked.Load() && harness.Closed(s.Done()) && (name != "DialContext" || !h.Polls) {
						t.Error("Done did not wait")
					}
				})
			})
		}
	}
}

// Code of the user's that ends the goroutine it runs on, as t.FailNow does, wedges
// nothing: what comes after it works.
func TestCodeOfTheUsersThatCallsGoexitWedgesNothing(t *testing.T) {
	for _, name := range userCodeNames {
		for _, after := range []string{"from the start", "once connected"} {
			t.Run(name+" "+after, func(t *testing.T) {
				harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
					var left atomic.Int32
					opts := withUserCode(h, func() {
						if left.Add(-1) >= 0 {
							runtime.Goexit()
						}
					})[name]
					s := h.Socket(opts)
					if after == "from the start" {
						left.Store(2)
					}
					c := h.Channel(s, "room:1", nil)
					try := func(ctx context.Context) {
						ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
						defer cancel()
						done := make(chan struct{})
						go func() { // a hook on the caller's goroutine would end that
							defer close(done)
							_ = s.Connect(ctx)
							_, _ = c.Join(ctx)
							_, _ = c.Push(ctx, "echo", 1)
						}()
						<-done
					}
					try(t.Context())
					if after == "once connected" {
						left.Store(2)
						try(t.Context())
						for _, conn := range h.Srv.Conns() {
							conn.Cut()
						}
						time.Sleep(time.Minute)
						try(t.Context())
					}
					left.Store(0)
					try(t.Context())
					if s.State() != phoenix.SocketOpen {
						t.Errorf("state is %v", s.State())
					}
					if _, err := c.Push(t.Context(), "echo", 2); err != nil {
						t.Errorf("Push = %v", err)
					}
					before := h.Now()
					_ = s.Close()
					harness.EndsAt(t, "Close", h.Now(), before)
					synctest.Wait()
					if !harness.Closed(s.Done()) {
						t.Error("Done is not closed")
					}
				})
			})
		}
	}
}

// What sees a frame before it is written blocks for ever. It does not run on the
// goroutine of a push, which ends with its ctx and says what became of it.
func TestNoPushIsKeptByWhatSeesItsFrame(t *testing.T) {
	const bound = 200 * time.Millisecond
	pushes := map[string]func(t *testing.T, h *harness.Harness, ctx context.Context, c *phoenix.Channel) error{
		"Push": func(t *testing.T, h *harness.Harness, ctx context.Context, c *phoenix.Channel) error {
			_, err := c.Push(ctx, "echo", 1)
			harness.EndsAt(t, "Push", h.Now(), bound)
			return err
		},
		"PushAsync": func(t *testing.T, h *harness.Harness, ctx context.Context, c *phoenix.Channel) error {
			p := c.PushAsync(ctx, "echo", 1)
			harness.EndsAt(t, "PushAsync", h.Now(), 0)
			_, err := p.Wait(context.Background())
			harness.EndsAt(t, "Wait", h.Now(), bound)
			return err
		},
		"Cast": func(t *testing.T, h *harness.Harness, ctx context.Context, c *phoenix.Channel) error {
			err := c.Cast(ctx, "echo", 1)
			harness.EndsAt(t, "Cast", h.Now(), 0)
			return err
		},
	}
	for _, name := range []string{
		"FrameOut", "Logger of frames", "Enabled", "Encode", "CheckFrame", "CheckFrame beneath a fallback", "WriteFrames",
	} {
		for how, push := range pushes {
			t.Run(name+" "+how, func(t *testing.T) {
				harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
					var blocking atomic.Bool
					release := make(chan struct{})
					s := h.Socket(withUserCode(h, func() {
						if blocking.Load() {
							<-release
						}
					})[name])
					letGo := sync.OnceFunc(func() { close(release) })
					defer letGo() // before the socket is waited for
					if err := s.Connect(t.Context()); err != nil {
						t.Fatal(err)
					}
					c := h.Joined(s, "room:1", nil)
					synctest.Wait()
					received := len(h.Srv.Received("room:1", "echo"))
					blocking.Store(true)
					h.Start = time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), bound)
					defer cancel()
					err := push(t, h, ctx, c)
					synctest.Wait()
					// Enabled may be asked about the reply first.
					wrote := len(h.Srv.Received("room:1", "echo")) > received
					switch pe := (*phoenix.PushError)(nil); {
					case how == "Cast":
						if err != nil {
							t.Errorf("Cast = %v", err)
						}
					case name == "Enabled" && err == nil:
					case !errors.As(err, &pe) || !errors.Is(err, phoenix.ErrTimeout):
						t.Errorf("the push ends with %v", err)
					case wrote && !pe.Sent:
						t.Error("the server got what was not sent")
					}
					before := h.Now()
					_ = s.Close()
					harness.EndsAt(t, "Close", h.Now(), before)
					letGo() // nothing else ends a cast that a writer has
					synctest.Wait()
					if st := s.Stats(); how == "Cast" && st.CastsLost != 1 && !wrote {
						t.Errorf("%d casts lost, want 1", st.CastsLost)
					}
				})
			})
		}
	}
}

// withUserCode are the places at which a socket calls code of the user's, with f in
// each of them.
func withUserCode(h *harness.Harness, f func()) map[string]*phoenix.SocketOptions {
	conn := func(c userConn) phoenix.Transport {
		return harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			inner, err := h.Transport().Dial(ctx, req)
			if err != nil {
				return nil, err
			}
			c := c
			c.Conn = inner
			return &c, nil
		})
	}
	checking := harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
		inner, err := h.Transport().Dial(ctx, req)
		if err != nil {
			return nil, err
		}
		return &checkingConn{inner, f}, nil
	})
	base := h.Srv.HTTPClient().Transport.(*http.Transport) //nolint:forcetypeassert // as documented
	dial := base.Clone()
	dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		f()
		return base.DialContext(ctx, network, addr)
	}
	return map[string]*phoenix.SocketOptions{
		"ParamsFunc":  {ParamsFunc: func(context.Context) (url.Values, error) { f(); return nil, nil }},
		"AuthToken":   {AuthToken: func(context.Context) (string, error) { f(); return "", nil }},
		"HeaderFunc":  {HeaderFunc: func(context.Context) (http.Header, error) { f(); return nil, nil }},
		"DialContext": {HTTPClient: &http.Client{Transport: dial}},
		"RoundTripper": {HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			f()
			return next.RoundTrip(r)
		})},
		"Dial": {Transport: harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			f()
			return h.Transport().Dial(ctx, req)
		})},
		"Dial beneath a fallback": {Transport: phoenix.Fallback(harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			f()
			return h.Transport().Dial(ctx, req)
		}), nil, nil)},
		"ReadFrame":   {Transport: conn(userConn{read: f, write: nothing, close: nothing})},
		"WriteFrames": {Transport: conn(userConn{read: nothing, write: f, close: nothing})},
		"Close":       {Transport: conn(userConn{read: nothing, write: nothing, close: f})},
		"Logger": {Logger: slog.New(handlerFunc(func(r slog.Record) {
			if r.Level > slog.LevelDebug {
				f()
			}
		}))},
		"Logger of frames": {Logger: slog.New(handlerFunc(func(r slog.Record) {
			if r.Level == slog.LevelDebug {
				f()
			}
		}))},
		"Enabled": {Logger: slog.New(levelHandler{
			enabled: func(l slog.Level) bool {
				if l == slog.LevelDebug {
					f()
				}
				return l > slog.LevelDebug
			},
			handle: func(slog.Record) {},
		})},
		"Encode":                        {Serializer: userSerializer{phoenix.V2(), f, nothing}},
		"Decode":                        {Serializer: userSerializer{phoenix.V2(), nothing, f}},
		"CheckFrame":                    {Transport: checking},
		"CheckFrame beneath a fallback": {Transport: phoenix.Fallback(checking, nil, nil)},
		"ConnectStart":                  {Trace: &phoenix.Trace{ConnectStart: func(ctx context.Context, _ phoenix.ConnectStartInfo) context.Context { f(); return ctx }}},
		"ConnectDone":                   {Trace: &phoenix.Trace{ConnectDone: func(context.Context, phoenix.ConnectDoneInfo) { f() }}},
		"JoinStart":                     {Trace: &phoenix.Trace{JoinStart: func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context { f(); return ctx }}},
		"JoinDone":                      {Trace: &phoenix.Trace{JoinDone: func(context.Context, phoenix.JoinDoneInfo) { f() }}},
		"Disconnected":                  {Trace: &phoenix.Trace{Disconnected: func(error) { f() }}},
		"Heartbeat":                     {Trace: &phoenix.Trace{Heartbeat: func(time.Duration) { f() }}},
		"FrameIn":                       {Trace: &phoenix.Trace{FrameIn: func(phoenix.Frame) { f() }}},
		"FrameOut":                      {Trace: &phoenix.Trace{FrameOut: func(phoenix.Frame) { f() }}},
		"RetryIf":                       {RetryIf: func(error) bool { f(); return true }},
	}
}
