package errs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// What a client is told to keep secret in these tests.
const (
	echoToken  = `tok/en+"1<2>~?&ü-SFMyNTY.g2gDYQFuBgC`
	echoParam  = "par am/value=&;%\"hunter2-hunter2"
	echoKnown  = "from-the-endpoint-3141592653"
	echoHeader = "Bearer header-credential-271828"
	echoCookie = "sid=cookie-credential-161803"
	echoShort  = "x7q"
)

// spellings returns the ways in which a server may repeat a secret.
func spellings(secret string) []string {
	quoted, _ := json.Marshal(secret)
	raw := []byte(secret)
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret), string(quoted[1 : len(quoted)-1]),
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
		strings.ToLower(secret), strings.ToUpper(url.QueryEscape(secret)), fmt.Sprintf("%x", secret),
	}
}

// wantNoEcho checks that a text repeats no secret, not even a long part of one.
func wantNoEcho(t *testing.T, where, text string) {
	t.Helper()
	folded := strings.ToLower(text)
	for _, secret := range []string{echoToken, echoParam, echoKnown, strings.TrimPrefix(echoHeader, "Bearer "), strings.TrimPrefix(echoCookie, "sid="), "vsn=2.0.0"} {
		for _, s := range spellings(secret) {
			s = strings.ToLower(s)
			for _, part := range []string{s, s[:min(len(s), 16)], s[max(0, len(s)-16):]} {
				if i := strings.Index(folded, part); i >= 0 {
					t.Errorf("%s repeats %q: …%s…", where, part, text[max(0, i-60):min(len(text), i+60)])
					return
				}
			}
		}
	}
}

// walkError checks everything that is reachable from an error.
func walkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	wantNoEcho(t, fmt.Sprintf("%T", err), text)
	for i, r := range err.Error() {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u202e' {
			t.Errorf("%T has the control character %q at %d: %q", err, r, i, err.Error())
			break
		}
	}
	walkFields(t, fmt.Sprintf("%T", err), reflect.ValueOf(err), 0)
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case interface{ Unwrap() error }:
		walkError(t, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			walkError(t, below)
		}
	}
}

// walkFields checks the exported fields of a value.
func walkFields(t *testing.T, where string, v reflect.Value, depth int) {
	t.Helper()
	if depth > 6 || !v.IsValid() {
		return
	}
	switch v.Kind() { //nolint:exhaustive // the others hold no text
	case reflect.Pointer, reflect.Interface:
		walkFields(t, where, v.Elem(), depth+1)
	case reflect.String:
		wantNoEcho(t, where, v.String())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			wantNoEcho(t, where, string(v.Bytes()))
			return
		}
		for i := range v.Len() {
			walkFields(t, where, v.Index(i), depth+1)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walkFields(t, where, it.Key(), depth+1)
			walkFields(t, where+"["+fmt.Sprint(it.Key())+"]", it.Value(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walkFields(t, where+"."+v.Type().Field(i).Name, v.Field(i), depth+1)
			}
		}
	}
}

// An echoServer answers each request with what answer makes of it, byte for byte.
func echoServer(t *testing.T, answer func(r *http.Request, body, echo string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				io.WriteString(c, answer(r, string(body), echoOf(r)))
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/socket"
}

// echoOf is everything that a server may repeat, in one line.
func echoOf(r *http.Request) string {
	var parts []string
	for name, values := range r.Header {
		parts = append(parts, name+": "+strings.Join(values, ","))
	}
	parts = append(parts, r.RequestURI)
	for _, values := range r.URL.Query() {
		parts = append(parts, values...)
	}
	for _, secret := range []string{echoToken, echoParam, echoKnown, echoHeader, echoCookie} {
		parts = append(parts, spellings(secret)...)
		parts = append(parts, base64.StdEncoding.EncodeToString([]byte("Basic "+secret)))
	}
	return strings.Join(parts, " ")
}

func acceptKey(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoSocket makes a socket with secrets that logs into out.
func echoSocket(t *testing.T, endpoint string, via phoenix.Transport, client *http.Client, out io.Writer, traces ...*phoenix.Trace) *phoenix.Socket {
	t.Helper()
	return echoSocketWithin(t, 2*time.Second, endpoint, via, client, out, traces...)
}

// echoSocketWithin makes one whose Timeout is not the usual one.
func echoSocketWithin(t *testing.T, timeout time.Duration, endpoint string, via phoenix.Transport, client *http.Client, out io.Writer, traces ...*phoenix.Trace) *phoenix.Socket {
	t.Helper()
	s, err := phoenix.NewSocket(endpoint+"?known="+echoKnown, &phoenix.SocketOptions{
		Transport: via, HTTPClient: client,
		Params:    url.Values{"secret": {echoParam}, "s": {echoShort}},
		Header:    http.Header{"Authorization": {echoHeader}, "Cookie": {echoCookie}},
		AuthToken: func(context.Context) (string, error) { return echoToken, nil },
		Timeout:   timeout,
		Trace:     phoenix.MultiTrace(traces...),
		RetryIf:   func(error) bool { return false },
		Logger:    slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNoErrorOrLogRepeatsWhatAHostileServerEchoes(t *testing.T) {
	t.Parallel()
	head := func(status string, header ...string) string {
		return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(header, "Connection: close"), "\r\n") + "\r\n\r\n"
	}
	upgrade := func(r *http.Request, header ...string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			acceptKey(r) + "\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
	}
	closeFrame := func(reason string) string {
		return string([]byte{0x88, byte(2 + len(reason)), 0x03, 0xf3}) + reason
	}
	answers := map[string]func(r *http.Request, body, echo string) string{
		"status text": func(_ *http.Request, _, echo string) string { return head("403 " + echo) },
		"status code": func(_ *http.Request, _, echo string) string { return head(echo) },
		"no HTTP":     func(_ *http.Request, _, echo string) string { return echo + "\x00\x1b[31m\r\n\r\n" },
		"a bad header": func(_ *http.Request, _, echo string) string {
			return head("200 OK", strings.ReplaceAll(echo, ":", " "))
		},
		"headers": func(_ *http.Request, _, echo string) string {
			return head("403 Forbidden", "X-Echo: "+echo, "Set-Cookie: a="+echo)
		},
		"a header's name": func(*http.Request, string, string) string {
			return head("403 Forbidden", "X-Cookie-Credential-161803: 1")
		},
		"the body": func(_ *http.Request, _, echo string) string { return head("500 Oops") + echo },
		"a cut body": func(*http.Request, string, string) string {
			return head("500 Oops") + strings.Repeat(" ", 1010) + echoToken
		},
		"the Location": func(_ *http.Request, _, echo string) string {
			return head("302 Found", "Location: https://u:p@elsewhere.test/"+url.PathEscape(echoToken)+"?q="+url.QueryEscape(echo))
		},
		"a relative Location": func(r *http.Request, _, _ string) string {
			return head("307 Temporary Redirect", "Location: //elsewhere.test"+r.RequestURI)
		},
		"a redirect on the host": func(r *http.Request, _, _ string) string {
			if strings.Contains(r.URL.Path, "again") {
				return head("404 Not Found")
			}
			return head("302 Found", "Location: /again/"+url.PathEscape(echoToken)+"?"+r.URL.RawQuery)
		},
		"a loop of redirects": func(r *http.Request, _, _ string) string { return head("302 Found", "Location: "+r.RequestURI) },
		"the subprotocol": func(r *http.Request, _, _ string) string {
			return upgrade(r, "Sec-WebSocket-Protocol: "+strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ", "))
		},
		"an extension": func(r *http.Request, _, _ string) string {
			return upgrade(r, "Sec-WebSocket-Extensions: a, "+url.QueryEscape(echoToken))
		},
		"the accept key": func(_ *http.Request, _, echo string) string {
			return head("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+echo)
		},
		"the upgrade header": func(_ *http.Request, _, echo string) string { return head("101 Switching Protocols", "Upgrade: "+echo) },
		"the close reason": func(r *http.Request, _, _ string) string {
			return upgrade(r, "Sec-WebSocket-Protocol: phoenix") + closeFrame("\x1b"+echoToken+echoCookie)
		},
		"a cut close reason": func(r *http.Request, _, _ string) string {
			return upgrade(r, "Sec-WebSocket-Protocol: phoenix") + closeFrame(strings.Repeat(".", 100)+base64.StdEncoding.EncodeToString([]byte(echoToken))[:20])
		},
		"no JSON of a poll": func(_ *http.Request, _, echo string) string {
			return head("200 OK", "Content-Type: application/json") + echo
		},
		"the token of a poll": func(_ *http.Request, _, echo string) string {
			token, _ := json.Marshal(echo)
			return head("200 OK") + `{"status":403,"messages":[],"token":` + string(token) + `}`
		},
		"a session, and its end": func(r *http.Request, _, echo string) string {
			if r.Header.Get("X-Phoenix-Longpoll-Token") == "" {
				return head("200 OK") + `{"status":410,"messages":[],"token":"from-the-endpoint-3141592653"}`
			}
			return head("410 Gone", "X-Echo: "+echo) + echo
		},
	}
	for name, answer := range answers {
		for kind, via := range map[string]phoenix.Transport{
			"websocket": phoenix.WebSocket(nil), "longpoll": phoenix.LongPoll(nil), "fallback": phoenix.Fallback(nil, nil, nil),
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				var out harness.Spill
				s := echoSocket(t, echoServer(t, answer), via, nil, &out)
				defer s.Close()
				events := s.Events(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
				defer cancel()
				err := s.Connect(ctx)
				if err != nil {
					walkError(t, err)
					if len(err.Error()) > 900 { // of two transports
						t.Errorf("an error of %d bytes: %v", len(err.Error()), err)
					}
				} else {
					for ev := range events { // the session ends
						if ev.State == phoenix.SocketDisconnected {
							break
						}
					}
				}
				_ = s.Close()
				for ev := range events {
					walkError(t, ev.Err)
				}
				wantNoEcho(t, "the log", out.Text())
				// A short value leaves the texts whole.
				if strings.Contains(out.Text(), "phoeni[redacted]") {
					t.Errorf("the log is torn: %s", out.Text())
				}
			})
		}
	}
}

func TestReasonsOfRepliesAreTameAndHoldNoSecrets(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var out harness.Spill
		s := echoSocket(t, h.Srv.URL(), h.Transport(), h.Srv.HTTPClient(), &out)
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.Joined(s, "room:1", nil)
		for _, secret := range []string{echoToken, echoParam, echoKnown, echoHeader, echoCookie} {
			for _, form := range spellings(secret) {
				_, err := c.Push(t.Context(), "err", map[string]string{"reason": "no \x1b[31m\u202e" + form + strings.Repeat("!", 4000-len(form))})
				var re *phoenix.ReplyError
				if !errors.As(err, &re) {
					t.Fatalf("Push = %v", err)
				}
				wantNoEcho(t, "the error", err.Error())
				if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\u202e") {
					t.Errorf("the error is not tame: %q", err.Error())
				}
				if !strings.Contains(re.Reason(), form) {
					t.Error("Reason is not what the server said")
				}
			}
		}
		h.Srv.Broadcast("room:1", echoToken, nil) // its event is in the log
		time.Sleep(time.Second)
		_ = s.Close()
		wantNoEcho(t, "the log", out.Text())
	})
}

// Connections whose failing writes quote everything: of a network, and of a
// Transport of the user's.
type (
	leakyNet struct {
		net.Conn
		fails *atomic.Bool
	}
	leakyConn struct {
		transport.Conn
		fails *atomic.Bool
	}
)

var errLeaky = fmt.Errorf("cannot write %s %s %s %s", echoToken, echoParam, echoKnown, echoHeader)

func (c leakyNet) Write(b []byte) (int, error) {
	if c.fails.Load() {
		return 1, errLeaky
	}
	return c.Conn.Write(b)
}

func (c leakyConn) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	if c.fails.Load() {
		return len(frames), errLeaky
	}
	return c.Conn.WriteFrames(frames, deadline)
}

func TestAFailedWriteRepeatsNoSecret(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("Transport of the user's: %v", own), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var fails atomic.Bool
				via := phoenix.WebSocket(nil)
				client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := h.Srv.DialContext(ctx, network, addr)
					return leakyNet{c, &fails}, err
				}}}
				if own {
					client = h.Srv.HTTPClient()
					inner := via
					via = harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
						c, err := inner.Dial(ctx, req)
						return leakyConn{c, &fails}, err
					})
				}
				var out harness.Spill
				var lost harness.Recorder[error]
				s := echoSocket(t, h.Srv.URL(), via, client, &out, &phoenix.Trace{
					PushDone:     func(_ context.Context, info phoenix.PushDoneInfo) { lost.Add(info.Err) },
					Disconnected: lost.Add,
				})
				defer s.Close()
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				c := h.Joined(s, "room:1", nil)
				fails.Store(true)
				if err := c.Cast(t.Context(), "silent", 1); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				all := lost.List()
				if len(all) != 2 {
					t.Fatalf("errors: %v, want those of the cast and of the connection", all)
				}
				for _, err := range append(all, s.Stats().LastError) {
					if !errors.Is(err, errLeaky) {
						t.Errorf("%v is not the error of the write", err)
					}
					walkError(t, err)
				}
				_ = s.Close()
				wantNoEcho(t, "the log", out.Text())
			})
		})
	}
}

func TestARefusalByAProxyIsAHandshakeErrorWithoutCredentials(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"} {
		for kind, via := range map[string]phoenix.Transport{
			"websocket": phoenix.WebSocket(nil), "longpoll": phoenix.LongPoll(nil), "fallback": phoenix.Fallback(nil, nil, nil),
		} {
			t.Run(kind+"/"+status, func(t *testing.T) {
				t.Parallel()
				endpoint := echoServer(t, func(r *http.Request, _, echo string) string {
					return "HTTP/1.1 " + status + "\r\nX-Echo: " + r.Header.Get("Proxy-Authorization") + echo + "\r\nConnection: close\r\n\r\n"
				})
				proxy, err := url.Parse(strings.Replace(endpoint, "ws://", "http://"+"proxyuser:"+url.QueryEscape(echoKnown)+"@", 1))
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				s := echoSocket(t, "wss://behind.test/socket", via,
					&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}, &out)
				defer s.Close()
				err = s.Connect(t.Context())
				var he *phoenix.HandshakeError
				if !errors.As(err, &he) || fmt.Sprint(he.StatusCode) != status[:3] || he.Proxy == "" || he.URL != "behind.test:443" {
					t.Fatalf("Connect = %v", err)
				}
				if final := status[0] == '4'; phoenix.IsFinal(err) != final {
					t.Errorf("IsFinal = %v", !final)
				}
				walkError(t, err)
				_ = s.Close()
				<-s.Done() // Close does not wait for the logger
				wantNoEcho(t, "the log", out.String())
				for _, secret := range []string{base64.StdEncoding.EncodeToString([]byte("proxyuser:" + echoKnown))} {
					if strings.Contains(fmt.Sprintf("%v %+v %v", err, he.Header, out.String()), secret) {
						t.Errorf("the proxy's credentials are in %v", err)
					}
				}
			})
		}
	}
}

// The rule for short values: below four bytes only with their name.
func TestShortSecretsDoNotTearTextsApart(t *testing.T) {
	t.Parallel()
	endpoint := echoServer(t, func(*http.Request, string, string) string {
		return "HTTP/1.1 500 Oops\r\nX-Why: en=1 is no locale; locale=en, token=abc\r\n\r\nThe end: a token, English."
	})
	s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
		Params:    url.Values{"locale": {"en"}, "a": {"e"}, "token": {"abc"}},
		AuthToken: func(context.Context) (string, error) { return "o", nil },
		RetryIf:   func(error) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var he *phoenix.HandshakeError
	if err := s.Connect(t.Context()); !errors.As(err, &he) {
		t.Fatalf("Connect = %v", err)
	}
	if why := he.Header.Get("X-Why"); why != "en=1 is no locale; [redacted], [redacted]" {
		t.Errorf("X-Why: %s", why)
	}
	if string(he.Body) != "The end: a token, English." {
		t.Errorf("the body is %q", he.Body)
	}
}
