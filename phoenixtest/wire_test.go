package phoenixtest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestBadFramesCloseWithTheirCode(t *testing.T) {
	zero := []byte{0, 0, 0, 0}
	frame := func(head ...byte) []byte { return append(head, zero...) }
	for name, test := range map[string]struct {
		send []byte
		code int
	}{
		"not JSON":              {clientFrame("{"), 1011},
		"empty":                 {clientFrame(""), 1011},
		"array of four":         {clientFrame(`[1,2,3,4]`), 1011},
		"trailing garbage":      {clientFrame(`["1","1","t","e",{}] x`), 1011},
		"empty binary":          {frame(0x82, 0x80), 1011},
		"binary reply":          {append(frame(0x82, 0x85), 1, 0, 0, 0, 0), 1011},
		"truncated binary":      {append(frame(0x82, 0x86), 0, 9, 0, 0, 0, 'x'), 1011},
		"invalid UTF-8":         {append(frame(0x81, 0x81), 0xFF), 1007},
		"unmasked":              {[]byte{0x81, 0x02, '[', ']', 0, 0}, 1002},
		"reserved bit":          {frame(0xC1, 0x80), 1002},
		"unknown opcode":        {frame(0x83, 0x80), 1002},
		"fragmented ping":       {frame(0x09, 0x80), 1002},
		"lone continuation":     {frame(0x80, 0x80), 1002},
		"message in a message":  {append(frame(0x01, 0x80), frame(0x81, 0x80)...), 1002},
		"close of one byte":     {append(frame(0x88, 0x81), 0), 1002},
		"close with 1005":       {append(frame(0x88, 0x82), 0x03, 0xED), 1002},
		"close with bad reason": {append(frame(0x88, 0x83), 0x03, 0xE8, 0xFF), 1007},
		"too large":             {frame(0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0x10, 0x01), 1009},
		"absurdly large":        {frame(0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0x10, 0x01), 1009},
		"close":                 {append(frame(0x88, 0x82), 0x0F, 0xA1), 1000},
		"close without a code":  {frame(0x88, 0x80), 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, &phoenixtest.Options{MaxFrameSize: 4096})
				s.Handle("room:*", phoenixtest.Channel{})
				nc, br := rawDial(t, s)
				nc.Write(test.send)
				got, err := io.ReadAll(br)
				if err != nil {
					t.Fatal(err)
				}
				want := []byte{0x88, 2, byte(test.code >> 8), byte(test.code)}
				if !bytes.Equal(got, want) {
					t.Errorf("got % x, want % x", got, want)
				}
			})
		})
	}
}

func TestFragmentsAndControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", phoenixtest.Channel{})
		nc, br := rawDial(t, s)
		text := `[null,"9","phoenix","heartbeat",{}]`
		whole := clientFrame(text)
		parts := append([]byte{0x01, 0x80 | 5, 0, 0, 0, 0}, text[:5]...)
		parts = append(parts, 0x89, 0x82, 0, 0, 0, 0, 'h', 'i')
		parts = append(parts, 0x00, 0x80, 0, 0, 0, 0)
		parts = append(parts, 0x80, 0x80|byte(len(text)-5), 0, 0, 0, 0)
		parts = append(parts, text[5:]...)
		nc.Write(append(parts, whole...))
		answer := `[null,"9","phoenix","phx_reply",{"response":{},"status":"ok"}]`
		want := "\x8a\x02hi" + strings.Repeat("\x81"+string(rune(len(answer)))+answer, 2)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v\nwant %q", got, err, want)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		option, want time.Duration
	}{
		"default": {0, 90 * time.Second}, "set": {10 * time.Second, 40 * time.Second}, "off": {-1, 0},
		"an hour": {time.Hour, time.Hour + 30*time.Second}, "the longest": {math.MaxInt64, 0}, "the most negative": {math.MinInt64, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, &phoenixtest.Options{IdleTimeout: test.option})
				s.Handle("room:*", phoenixtest.Channel{})
				start := time.Now()
				c := open(t, s)
				c.send(t, joinA)
				// Sending does not count, receiving does, a ping included.
				for range 6 {
					time.Sleep(5 * time.Second)
					s.Broadcast("room:a", "x", nil)
					if err := c.ws.Ping(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				s.Broadcast("room:a", "x", nil)
				if test.want == 0 {
					time.Sleep(24 * time.Hour)
					if !c.alive() {
						t.Error("closed")
					}
					return
				}
				if code := c.code(); code != 1002 {
					t.Errorf("code %d", code)
				}
				if got := time.Since(start); got != test.want {
					t.Errorf("closed after %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestIdleTimeoutDoesNotCountALongJoin(t *testing.T) {
	ch := phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply { c.Sleep(5 * time.Minute); return phoenixtest.OK(nil) }}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		time.Sleep(6*time.Minute - time.Second)
		c.want(t, joinedA)
		if !c.alive() {
			t.Error("closed")
		}
	})
}

// A binary frame can bring a topic and a ref of which no JSON can be made.
func TestAnAnswerThatIsNotUTF8ClosesTheConnection(t *testing.T) {
	for name, data := range map[string]string{
		"topic": "\x00\x01\x01\x06\x0412room:\xffecho",
		"ref":   "\x00\x01\x01\x06\x041\xferoom:becho",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, phoenixtest.Channel{}, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.sendBinary(t, []byte(data))
				if got := c.code(); got != 1011 {
					t.Errorf("closed with %d", got)
				}
				p := newPoller(t, s, "vsn=2.0.0")
				p.post(base64.StdEncoding.EncodeToString([]byte(data))).want(t, 408, 10*time.Second)
				p.get().want(t, 410, 2*time.Second)
			})
		})
	}
	bubble(t, phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.wait(1)
		c.sendBinary(t, []byte("\x00\x01\x01\x06\x041\xferoom:aechox")) // a binary answer carries any ref
		c.want(t, joinedA, "binary "+base64.StdEncoding.EncodeToString([]byte("\x01\x01\x01\x06\x021\xferoom:aokx")))
	})
}

func TestVsn(t *testing.T) {
	for query, status := range map[string]int{
		"vsn=2.0.0": 101, "vsn=2.0.7": 101, "vsn=2.0.1-rc": 101, "vsn=2.0.0%2Bx": 101, "vsn=9&vsn=2.0.0": 101,
		"x=1": 101, "vsn=1.0.0": 101, "vsn=1.0.9": 101, "vsn=1.1.0": 403, "vsn=1.0": 403, "vsn=": 403, "vsn=2.1.0": 403, "vsn=3.0.0": 403, "vsn=123.1.1": 403, "vsn=2.0": 403,
		"vsn=2.0.0-rc": 403, "vsn=2.0.01": 403, "vsn=2.0.x": 403, "vsn[]=2.0.0": 403, "vsn[a]=2.0.0": 500, "vsn=2.0.0-": 403,
		"vsn=2.0.0&x=%": 101, "vsn=2.0.0&x=%zz%3": 101, "vsn=2.0.0&x=%ff": 400, "vsn=2.0.0&%ff": 400,
	} {
		t.Run(query, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, nil)
				checkDial(t, s, "/socket/websocket?"+query, status)
			})
		})
	}
}

// checkDial connects and expects a status; 101 is success.
func checkDial(t *testing.T, s *phoenixtest.Server, path string, status int, subprotocols ...string) *http.Response {
	t.Helper()
	_, res, err := dial(t, s, path, subprotocols...)
	if res == nil || res.StatusCode != status {
		t.Fatalf("got %v, %v, want status %d", res, err, status)
	}
	return res
}

func TestAuthToken(t *testing.T) {
	const bearer = "base64url.bearer.phx."
	for name, test := range map[string]struct {
		off          bool
		subprotocols []string
		status       int
		protocol     string
		token        string
	}{
		"token":            {false, []string{"phoenix", bearer + "dG9rZW4"}, 101, "phoenix", "token"},
		"token first":      {false, []string{bearer + "dG9rZW4", "phoenix"}, 101, "phoenix", "token"},
		"padded":           {false, []string{"phoenix", bearer + "YQ=="}, 101, "phoenix", "a"},
		"plus and slash":   {false, []string{"phoenix", bearer + "+/+/"}, 101, "phoenix", "\xfb\xff\xbf"},
		"URL alphabet":     {false, []string{"phoenix", bearer + "-_-_"}, 500, "", ""},
		"only the token":   {false, []string{bearer + "dG9rZW4"}, 101, "", "token"},
		"two tokens":       {false, []string{"phoenix", bearer + "YQ", bearer + "Yg"}, 101, "phoenix", ""},
		"none":             {false, nil, 101, "", ""},
		"no token":         {false, []string{"phoenix"}, 101, "phoenix", ""},
		"empty token":      {false, []string{"phoenix", bearer}, 101, "phoenix", "empty"},
		"foreign":          {false, []string{"other"}, 403, "", ""},
		"mount without it": {true, []string{"phoenix", bearer + "dG9rZW4"}, 101, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				token := "not asked"
				s := phoenixtest.NewServer(t, &phoenixtest.Options{
					AuthToken: !test.off,
					Connect: func(i *phoenixtest.ConnectInfo) error {
						if token = i.AuthToken; token == "" && i.HasAuthToken {
							token = "empty"
						}
						return nil
					},
				})
				res := checkDial(t, s, "/socket/websocket?vsn=2.0.0", test.status, test.subprotocols...)
				if got := res.Header.Get("Sec-Websocket-Protocol"); got != test.protocol {
					t.Errorf("subprotocol %q, want %q", got, test.protocol)
				}
				if test.status == 101 && token != test.token {
					t.Errorf("token %q, want %q", token, test.token)
				}
			})
		})
	}
}

func TestConnect(t *testing.T) {
	header := http.Header{"Retry-After": {"7"}}
	for name, test := range map[string]struct {
		connect func(*phoenixtest.ConnectInfo) error
		status  int
		header  string
		body    string
	}{
		"error":  {func(*phoenixtest.ConnectInfo) error { return errors.New("no") }, 403, "", ""},
		"refuse": {func(*phoenixtest.ConnectInfo) error { return phoenixtest.Refuse(429, header, "slow down") }, 429, "7", "slow down"},
		"wrapped": {func(*phoenixtest.ConnectInfo) error {
			return fmt.Errorf("x: %w", phoenixtest.Refuse(401, nil, ""))
		}, 401, "", ""},
		"panic":  {func(*phoenixtest.ConnectInfo) error { panic("x") }, 500, "", ""},
		"Goexit": {func(*phoenixtest.ConnectInfo) error { runtime.Goexit(); return nil }, 500, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, &phoenixtest.Options{Connect: test.connect})
				res := checkDial(t, s, "/socket/websocket?vsn=2.0.0", test.status)
				body, _ := io.ReadAll(res.Body)
				if string(body) != test.body || res.Header.Get("Retry-After") != test.header {
					t.Errorf("got %q, %v", body, res.Header)
				}
			})
		})
	}
}

func TestConnectInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var info phoenixtest.ConnectInfo
		var nested map[string]any
		s := phoenixtest.NewServer(t, &phoenixtest.Options{
			Path: "/live/",
			Connect: func(i *phoenixtest.ConnectInfo) error {
				info, nested = *i, i.Nested()
				i.ID = "user:1"
				return nil
			},
		})
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 404)
		base, _, _ := strings.Cut(s.URL(), "/live")
		if base+"/live" != s.URL() {
			t.Fatalf("URL %q", s.URL())
		}
		ws, _, err := websocket.Dial(context.Background(), s.URL()+
			"/websocket?a[k]=v&a[l][]=1&a[l][]=2&b=1&b=2&vsn=2.0.0&c[][x]=y&d[&e[0]=z&f=%+%zz%2B%4",
			&websocket.DialOptions{HTTPClient: s.HTTPClient(), HTTPHeader: http.Header{"X-Test": {"yes"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		want := `map[a:map[k:v l:[1 2]] b:2 c:[map[x:y]] d[: e:map[0:z] f:% %zz+%4 vsn:2.0.0]`
		if got := fmt.Sprint(nested); got != want {
			t.Errorf("nested:\n got %s\nwant %s", got, want)
		}
		if info.Params.Get("b") != "2" || info.Header.Get("X-Test") != "yes" || info.Vsn != "2.0.0" || info.Transport != "websocket" {
			t.Errorf("got %+v", info)
		}
		if c := s.Conns()[0]; c.ID() != "user:1" || c.Number() != 1 || c.Vsn() != "2.0.0" || c.Params().Get("b") != "2" {
			t.Errorf("conn: %q %d %q", c.ID(), c.Number(), c.Vsn())
		}
	})
}

// Plug matches the segments of a path, and does not decode them.
func TestPaths(t *testing.T) {
	for path, status := range map[string]int{
		"/socket/websocket": 101, "/socket/websocket/": 101, "//socket///websocket": 101, "/socket/longpoll/": 200,
		"/socket/web%73ocket": 404, "/socket/Websocket": 404, "/socket/websocket/x": 404, "/socket/": 404, "/": 404, "/websocket": 404,
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, nil)
				checkDial(t, s, path+"?vsn=2.0.0", status)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{Path: "/"})
		checkDial(t, s, "/websocket?vsn=2.0.0", 101)
	})
}

func TestPlainRequests(t *testing.T) {
	for name, test := range map[string]struct {
		method, path string
		header       http.Header
		status       int
		body         string
	}{
		"no upgrade": {http.MethodGet, "/socket/websocket?vsn=2.0.0", nil, 400, `'connection' header must contain 'upgrade', got []`},
		"POST":       {http.MethodPost, "/socket/websocket?vsn=2.0.0", nil, 400, ""},
		"mount":      {http.MethodGet, "/socket", nil, 404, ""},
		"bad version": {http.MethodGet, "/socket/websocket?vsn=2.0.0", http.Header{
			"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Version": {"8"},
		}, 400, `'sec-websocket-version' header must equal '13', got ["8"]`},
		"no key": {http.MethodGet, "/socket/websocket?vsn=2.0.0", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		}, 400, "'sec-websocket-key' header is absent"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, nil)
				req, err := http.NewRequestWithContext(t.Context(), test.method, "http"+strings.TrimPrefix(s.URL(), "ws")[:15]+test.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = test.header.Clone()
				res, err := s.HTTPClient().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, _ := io.ReadAll(res.Body)
				if res.StatusCode != test.status || string(body) != test.body {
					t.Errorf("got %d %q, want %d %q", res.StatusCode, body, test.status, test.body)
				}
			})
		})
	}
}

func TestOptionErrors(t *testing.T) {
	for field, o := range map[string]phoenixtest.Options{
		"Network": {Network: 7}, "Path": {Path: "socket"}, "BufferSize": {BufferSize: -1},
		"listen": {Network: phoenixtest.TCP, Addr: "127.0.0.1:notaport"},
	} {
		if s, err := phoenixtest.Start(&o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, %v", field, s, err)
		}
	}
}
