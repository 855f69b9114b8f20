package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

func allTransports() map[string]Transport {
	return map[string]Transport{"WebSocket": WebSocket(nil), "LongPoll": LongPoll(nil), "Fallback": Fallback(nil, nil, nil)}
}

// dial opens a connection that asks for nothing but a limit.
func dial(t *testing.T, tr Transport, srv *phoenixtest.Server, limit int64) Conn {
	t.Helper()
	endpoint, err := url.Parse(srv.URL() + "?vsn=2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tr.Dial(t.Context(), &DialRequest{URL: endpoint, HTTPClient: srv.HTTPClient(), MaxMessageSize: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background(), 0, "") })
	return c
}

func send(t *testing.T, c Conn, text string) {
	t.Helper()
	if _, err := c.WriteFrames([]Frame{{Data: []byte(text)}}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestADialRequestThatCannotBeDialedIsAnInputError(t *testing.T) {
	t.Parallel()
	requests := map[string]*DialRequest{
		"no request": nil,
		"no URL":     {},
		"no scheme":  {URL: &url.URL{Host: "example.com", Path: "/socket"}},
		"scheme":     {URL: &url.URL{Scheme: "ftp", Host: "example.com", Path: "/socket"}},
		"no host":    {URL: &url.URL{Scheme: "ws", Path: "/socket"}},
	}
	for name, tr := range allTransports() {
		for what, req := range requests {
			c, err := tr.Dial(t.Context(), req)
			if ie := (*InputError)(nil); c != nil || !errors.As(err, &ie) || ie.Field != "DialRequest.URL" || !IsFinal(err) {
				t.Errorf("%s, %s: %v, %v", name, what, c, err)
			}
		}
	}
}

// A Header, a Probe, an Idle and a Logger need not be there.
func TestADialRequestNeedsNothingButItsURL(t *testing.T) {
	t.Parallel()
	for name, tr := range allTransports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
				srv.Handle("room:*", phoenixtest.Channel{})
				c := dial(t, tr, srv, 0)
				send(t, c, `["1","1","room:a","phx_join",{}]`)
				f, err := c.ReadFrame()
				if want := `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`; err != nil || string(f.Data) != want {
					t.Errorf("%s, %v; want %s", f.Data, err, want)
				}
			})
		})
	}
}

// Only a Fallback calls Probe and Idle. It works without them, there and back.
func TestAFallbackWithoutAProbeReturnsToAPrimaryThatOpens(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		broken := true
		primary := transportFunc(func(ctx context.Context, req *DialRequest) (Conn, error) {
			if broken {
				return nil, errors.New("no way through")
			}
			return WebSocket(nil).Dial(ctx, req)
		})
		tr := Fallback(primary, nil, nil)
		c := dial(t, tr, srv, 0)
		broken = false
		start := time.Now()
		_, err := c.ReadFrame()
		if took := time.Since(start); !errors.Is(err, ErrPrimaryWorks) || took < defaultMemory || took > defaultMemory+time.Minute {
			t.Fatalf("after %v: %v", took, err)
		}
		_ = c.Close(t.Context(), 0, "")
		c = dial(t, tr, srv, 0)
		if h, ok := c.(Heartbeater); !ok || !h.NeedsHeartbeat() {
			t.Error("the second connection is not a WebSocket")
		}
	})
}

type transportFunc func(ctx context.Context, req *DialRequest) (Conn, error)

func (f transportFunc) Dial(ctx context.Context, req *DialRequest) (Conn, error) { return f(ctx, req) }

func TestMaxMessageSizeOfZeroIs16MiBAndNegativeIsNoLimit(t *testing.T) {
	t.Parallel()
	const frame = `["1",null,"room:a","data",""]`
	for name, tr := range allTransports() {
		for _, test := range []struct {
			limit   int64
			size    int // of the frame
			refused bool
		}{
			{limit: 0, size: 16 << 20},
			{limit: 0, size: 16<<20 + 1, refused: true},
			{limit: -1, size: 16<<20 + 1},
			{limit: 1000, size: 1000},
			{limit: 1000, size: 1001, refused: true},
		} {
			t.Run(fmt.Sprint(name, test.limit, "/", test.size), func(t *testing.T) {
				phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
					srv.Handle("room:*", phoenixtest.Channel{
						Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
							c.Send(func(c *phoenixtest.Context) { c.Push("data", strings.Repeat("x", test.size-len(frame))) })
							return phoenixtest.OK(nil)
						},
					})
					c := dial(t, tr, srv, test.limit)
					send(t, c, `["1","1","room:a","phx_join",{}]`)
					if _, err := c.ReadFrame(); err != nil {
						t.Fatal(err)
					}
					f, err := c.ReadFrame()
					if !test.refused && (err != nil || len(f.Data) != test.size || !bytes.Contains(f.Data, []byte(`"data"`))) {
						t.Errorf("%d bytes, %v", len(f.Data), err)
					}
					if test.refused && !errors.Is(err, ErrMessageTooBig) {
						t.Errorf("%d bytes, %v; want %v", len(f.Data), err, ErrMessageTooBig)
					}
				})
			})
		}
	}
}

// A silentTransport never answers.
type silentTransport struct{}

func (silentTransport) Dial(ctx context.Context, _ *DialRequest) (Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAFallbackSaysHowLongItWaitedForThePrimaryTransport(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]string{2 * time.Second: "after 1s", time.Minute: "after 2.5s"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), given)
			defer cancel()
			req := &DialRequest{URL: &url.URL{Scheme: "ws", Host: "example.com", Path: "/socket"}}
			_, err := Fallback(silentTransport{}, silentTransport{}, nil).Dial(ctx, req)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("with %v it says: %v, want %q", given, err, want)
			}
		})
	}
}
