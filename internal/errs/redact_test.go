package errs_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// byByte spells each byte of a text by itself.
func byByte(text, format string) string {
	var out strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&out, format, text[i])
	}
	return out.String()
}

func byRune(text, format string) string {
	var out strings.Builder
	for _, r := range text {
		fmt.Fprintf(&out, format, r)
	}
	return out.String()
}

// broken puts something between pieces of a text.
func broken(text string, every int, with string) string {
	var out strings.Builder
	for i := 0; i < len(text); i += every {
		out.WriteString(text[i:min(len(text), i+every)])
		out.WriteString(with)
	}
	return out.String()
}

// oddSpellings are ways to repeat a text that nobody would think of.
func oddSpellings(secret string) map[string]string {
	b64 := base64.StdEncoding.EncodeToString([]byte(secret))
	quoted := fmt.Sprintf("%q", secret)
	named := strings.NewReplacer(`"`, "&quot;", "<", "&lt;", ">", "&gt;", "&", "&amp;", "'", "&apos;", "/", "&#x2F;")
	return map[string]string{
		"every byte escaped for a URL":   byByte(secret, "%%%02x"),
		"every byte escaped for HTML":    byRune(secret, "&#x%X;"),
		"every byte escaped in a string": byByte(secret, `\x%02X`),
		"escaped for a URL twice":        url.QueryEscape(url.PathEscape(secret)),
		"escaped for a URL three times":  url.PathEscape(url.QueryEscape(url.PathEscape(secret))),
		"escaped for HTML by name":       named.Replace(secret),
		"escaped for HTML twice":         html.EscapeString(html.EscapeString(secret)),
		"a string in a string":           fmt.Sprintf("%q", quoted[1:len(quoted)-1]),
		"HTML in a URL":                  url.QueryEscape(html.EscapeString(secret)),
		"broken into lines":              broken(secret, 7, "\n"),
		"broken by control characters":   broken(secret, 3, "\x00"),
		"base64 in lines":                broken(b64, 9, "\r\n\t"),
		"base64, escaped line breaks":    broken(b64, 9, `\n`),
		"base64, escaped for a URL":      url.QueryEscape(b64),
		"hexadecimal with blanks":        byByte(secret, "%02x "),
	}
}

// A body shows what is found, byte for byte.
func TestASecretIsFoundHoweverItIsEscapedOrBroken(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{echoToken, echoParam, echoKnown} {
		for name, form := range oddSpellings(secret) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				endpoint := echoServer(t, func(*http.Request, string, string) string {
					return "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\nbefore (" + form + ") after"
				})
				s := echoSocket(t, endpoint, nil, nil, &harness.Spill{})
				defer s.Close()
				var he *phoenix.HandshakeError
				if err := s.Connect(t.Context()); !errors.As(err, &he) {
					t.Fatalf("Connect = %v", err)
				}
				left := strings.ReplaceAll(string(he.Body), "[redacted]", "")
				if !strings.HasPrefix(left, "before ") || !strings.HasSuffix(left, " after") {
					t.Errorf("innocent text is gone: %q", he.Body)
				}
				// Of a secret with many blanks and signs a few short pieces may remain.
				if len(left) > len("before () after")+8 {
					t.Errorf("of %q this is left: %q", form, he.Body)
				}
			})
		}
	}
}

func TestAHugeAnswerCostsNoTimeAndIsKeptInPart(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"many short lines":  strings.Repeat("X-Many: abcdefgh\r\n", 200_000),
		"many names":        func() string { return byNumber(100_000, "X-Name-%d: abcdefgh\r\n") }(),
		"one long line":     "X-Long: " + strings.Repeat("lorem ipsum ", 400_000) + "\r\n",
		"one long secret":   "X-Long: " + strings.Repeat(url.QueryEscape(echoToken), 50_000) + "\r\n",
		"a long reason":     "",
		"a long Set-Cookie": "Set-Cookie: a=" + strings.Repeat("b", 4_000_000) + "\r\n",
	} {
		for kind, via := range map[string]phoenix.Transport{"websocket": phoenix.WebSocket(nil), "longpoll": phoenix.LongPoll(nil)} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				status := "503 Busy"
				if lines == "" {
					status = "x" + strings.Repeat(echoToken+" lorem ", 50_000)
				}
				endpoint := echoServer(t, func(*http.Request, string, string) string {
					return "HTTP/1.1 " + status + "\r\nRetry-After: 7\r\n" + lines + "\r\n"
				})
				s := echoSocketWithin(t, time.Minute, endpoint, via, nil, &harness.Spill{})
				defer s.Close()
				begun := time.Now()
				err := s.Connect(t.Context())
				if took := time.Since(begun); took > 30*time.Second { // it took minutes; a busy machine needs a few seconds
					t.Errorf("Connect took %v", took)
				}
				walkError(t, err)
				if lines == "" {
					return
				}
				var he *phoenix.HandshakeError
				if !errors.As(err, &he) || he.Header.Get("Retry-After") != "7" {
					t.Fatalf("Connect = %v", err)
				}
				size := 0
				for name, values := range he.Header {
					size += len(name) * len(values)
					for _, v := range values {
						size += len(v)
					}
				}
				if size > 20<<10 {
					t.Errorf("the error keeps %d bytes of the header", size)
				}
			})
		}
	}
}

func byNumber(n int, format string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, format, i)
	}
	return out.String()
}

// A blockingJar is a cookie jar that takes its time.
type blockingJar struct {
	http.CookieJar
	until <-chan struct{}
}

func (j blockingJar) Cookies(u *url.URL) []*http.Cookie {
	<-j.until
	return j.CookieJar.Cookies(u)
}

func TestACookieJarThatBlocksHoldsUpNobody(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		until := make(chan struct{})
		jar, _ := cookiejar.New(nil)
		client := *h.Srv.HTTPClient()
		client.Jar = blockingJar{jar, until}
		s := h.Socket(&phoenix.SocketOptions{HTTPClient: &client, Timeout: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := s.Connect(ctx)
		harness.WantIs(t, err, context.DeadlineExceeded)
		if n := s.Stats().Attempts; n < 3 {
			t.Errorf("%d attempts in 10 s: the first one was not given up", n)
		}
		go func() { _ = s.Connect(t.Context()) }()
		time.Sleep(time.Second)
		begun := h.Now()
		if err := s.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		if took := h.Now() - begun; took > 50*time.Millisecond {
			t.Errorf("Disconnect took %v", took)
		}
		_ = s.Close()
		close(until)
		<-s.Done()
	})
}

// A Transport of the user's may add credentials to the request, in place or in a copy.
func TestWhatATransportAddsToTheRequestIsASecretToo(t *testing.T) {
	t.Parallel()
	const added = "added-by-the-transport-5772156649"
	for name, add := range map[string]func(req *transport.DialRequest) *transport.DialRequest{
		"in place": func(req *transport.DialRequest) *transport.DialRequest {
			req.Header.Set("X-Key", added)
			return req
		},
		"in a copy": func(req *transport.DialRequest) *transport.DialRequest {
			r := *req
			r.AuthToken = added
			return &r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := echoServer(t, func(r *http.Request, _, _ string) string {
				return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: phoenix\r\n" +
					"Sec-WebSocket-Accept: " + acceptKey(r) + "\r\n\r\n" + string([]byte{0x88, byte(2 + len(added)), 0x03, 0xf3}) + added
			})
			inner := phoenix.WebSocket(nil)
			var out harness.Spill
			s := echoSocket(t, endpoint, harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
				return inner.Dial(ctx, add(req))
			}), nil, &out)
			defer s.Close()
			err := s.Connect(t.Context())
			var ce *phoenix.CloseError
			if !errors.As(err, &ce) || ce.Reason != "[redacted]" {
				t.Errorf("Connect = %v", err)
			}
			_ = s.Close()
			if strings.Contains(out.Text(), added) {
				t.Errorf("the log: %s", out.Text())
			}
		})
	}
}

func TestTheReasonOfARefusedJoinRepeatsNoTokenOfItsParams(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		const token = "SFMyNTY.join-token-141421356"
		h.Srv.Handle("gate:*", phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "ann has no business here with " + token})
		}})
		var out harness.Spill
		s := h.Connected(&phoenix.SocketOptions{Logger: slog.New(slog.NewJSONHandler(&out, nil))})
		c := h.Channel(s, "gate:1", &phoenix.ChannelOptions{Params: map[string]any{"user": "ann", "auth": map[string]string{"token": token}}})
		_, err := c.Join(t.Context())
		var re *phoenix.ReplyError
		if !errors.As(err, &re) || !strings.Contains(re.Reason(), token) {
			t.Fatalf("Join = %v", err)
		}
		if want := "ann has no business here with [redacted]"; !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Join = %v, want …%s", err, want)
		}
		_ = s.Close()
		if strings.Contains(out.Text(), token) {
			t.Errorf("the log: %s", out.Text())
		}
	})
}

func TestADialRequestPrintsWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	var out harness.Spill
	stop := errors.New("enough")
	s := echoSocket(t, "ws://h.test/socket", harness.TransportFunc(func(_ context.Context, req *transport.DialRequest) (transport.Conn, error) {
		fmt.Fprintf(&out, "%v %+v %#v %s %v %+v %#v", req, req, req, req, *req, *req, *req)
		slog.New(slog.NewTextHandler(&out, nil)).LogAttrs(t.Context(), slog.LevelInfo, "dial", slog.Any("req", req), slog.Any("value", *req))
		slog.New(slog.NewJSONHandler(&out, nil)).LogAttrs(t.Context(), slog.LevelInfo, "dial", slog.Any("req", req))
		return nil, stop
	}), nil, &harness.Spill{})
	defer s.Close()
	harness.WantIs(t, s.Connect(t.Context()), stop)
	wantNoEcho(t, "what is printed", out.Text())
	if strings.Count(out.Text(), "ws://h.test/socket") != 10 {
		t.Errorf("printed: %s", out.Text())
	}
}

// A verboseError is an error of a user's with a long text of several lines.
type verboseError struct{ text string }

func (e *verboseError) Error() string { return e.text + "\n" + strings.Repeat("a long story, ", 50) }

func TestAnErrorOfATransportKeepsItsTypeUnlessItHoldsASecret(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		typed   bool
		forGood bool
	}{
		"verbose":                   {&verboseError{"no luck"}, true, false},
		"verbose, wrapped":          {fmt.Errorf("dial: %w", &verboseError{"no luck"}), true, false},
		"with a secret":             {&verboseError{echoToken}, false, false},
		"permanent":                 {backoff.Permanent(errors.New("no")), false, true},
		"permanent, verbose":        {backoff.Permanent(&verboseError{"no luck"}), true, true},
		"permanent, with a secret":  {backoff.Permanent(&verboseError{echoToken}), false, true},
		"permanent, wrapped secret": {fmt.Errorf("%s: %w", echoToken, backoff.Permanent(errors.New("no"))), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var asked atomic.Int32
				s := h.Socket(&phoenix.SocketOptions{
					AuthToken: func(context.Context) (string, error) { return echoToken, nil },
					Transport: harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
						asked.Add(1)
						return nil, test.err
					}),
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				err := s.Connect(ctx)
				if !errors.Is(err, test.err) {
					t.Errorf("%v is not the error of the transport", err)
				}
				var ve *verboseError
				if errors.As(err, &ve) != test.typed {
					t.Errorf("errors.As finds the type: %v", !test.typed)
				}
				var pe *backoff.PermanentError
				if errors.As(err, &pe) != test.forGood || (asked.Load() == 1) != test.forGood {
					t.Errorf("%d attempts, error %v", asked.Load(), err)
				}
				if pe != nil {
					wantNoEcho(t, "the permanent error", pe.Error())
				}
				walkError(t, err)
			})
		})
	}
}
