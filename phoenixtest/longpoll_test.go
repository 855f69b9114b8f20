package phoenixtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// poller is a long-polling client that knows nothing of Phoenix.
type poller struct {
	t     *testing.T
	s     *phoenixtest.Server
	query string
	token string
}

// answer is what a request came back with: the status of the body, or that of
// HTTP if it has none.
type answer struct {
	status   int
	messages []string
	header   http.Header
	took     time.Duration
	err      error
}

func newPoller(t *testing.T, s *phoenixtest.Server, query string) *poller {
	t.Helper()
	p := &poller{t: t, s: s, query: query}
	if got := p.get(); got.status != 410 || p.token == "" {
		t.Fatalf("opened with %+v", got)
	}
	return p
}

func (p *poller) do(method string, header http.Header, body string) answer {
	p.t.Helper()
	url := strings.Replace(p.s.URL(), "ws://", "http://", 1) + "/longpoll?" + p.query
	if p.token != "" {
		url += "&token=" + p.token
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	start := time.Now()
	res, err := p.s.HTTPClient().Do(req)
	if err != nil {
		return answer{err: err, took: time.Since(start)}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{err: err}
	}
	out := answer{status: res.StatusCode, header: res.Header, took: time.Since(start)}
	var b poll
	if json.Unmarshal(data, &b) == nil {
		out.status, out.messages = b.Status, b.Messages
		if b.Token != "" {
			p.token = b.Token
		}
	}
	return out
}

func (p *poller) get() answer { p.t.Helper(); return p.do(http.MethodGet, nil, "") }

func (p *poller) post(lines ...string) answer {
	p.t.Helper()
	return p.do(http.MethodPost, http.Header{"Content-Type": {"application/x-ndjson"}}, strings.Join(lines, "\n"))
}

func (a answer) want(t *testing.T, status int, took time.Duration, messages ...string) {
	t.Helper()
	if a.err != nil || a.status != status || a.took != took || strings.Join(a.messages, "\n") != strings.Join(messages, "\n") {
		t.Errorf("got %d after %v, %v:\n%s\nwant %d after %v:\n%s", a.status, a.took, a.err,
			strings.Join(a.messages, "\n"), status, took, strings.Join(messages, "\n"))
	}
}

const joinedText = `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`

func pollBubble(t *testing.T, opts *phoenixtest.Options, fn func(t *testing.T, s *phoenixtest.Server, p *poller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, opts)
		s.Handle("room:*", phoenixtest.Channel{
			Join: func(c *Context, p Payload) Reply {
				if c.Topic() == "room:slow" {
					var seconds int
					p.Decode(&seconds)
					c.Sleep(time.Duration(seconds) * time.Second)
				}
				return phoenixtest.OK(nil)
			},
			Events: phoenixtest.Events{
				"echo": echo,
				"bin": func(c *Context, _ Payload) Reply {
					c.Push("x", nil)
					c.Push("b", phoenixtest.Binary{0xFF})
					return phoenixtest.NoReply()
				},
			},
		})
		fn(t, s, newPoller(t, s, "vsn=2.0.0"))
	})
}

func TestPollWindow(t *testing.T) {
	for _, window := range []time.Duration{0, 3 * time.Second} {
		pollBubble(t, &phoenixtest.Options{LongPollWindow: window}, func(t *testing.T, s *phoenixtest.Server, p *poller) {
			if window == 0 {
				window = 10 * time.Second
			}
			before := p.token
			p.get().want(t, 204, window)
			p.post(joinA).want(t, 200, 0)
			p.get().want(t, 200, 0, joinedText)
			time.AfterFunc(time.Second, func() { s.Broadcast("room:a", "news", nil) })
			p.get().want(t, 200, time.Second, `[null,null,"room:a","news",{}]`)
			if p.token != before {
				t.Errorf("the token has changed to %q", p.token)
			}
			if c := s.Conns()[0]; c.Transport() != "longpoll" || c.Vsn() != "2.0.0" {
				t.Errorf("%s, %s", c.Transport(), c.Vsn())
			}
		})
	}
}

// The longest window there is: one and a half of it overflow.
func TestAPollWindowWithoutEnd(t *testing.T) {
	pollBubble(t, &phoenixtest.Options{LongPollWindow: math.MaxInt64}, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		time.AfterFunc(1000*time.Hour, func() { s.Broadcast("room:a", "news", nil) })
		p.post(joinA).want(t, 200, 0)
		p.get().want(t, 200, 0, joinedText)
		p.get().want(t, 200, 1000*time.Hour, `[null,null,"room:a","news",{}]`)
	})
}

// Only the start of a GET counts as a poll, and whether there was one is only
// looked at now and then.
func TestPollInactivity(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		conn := s.Conns()[0]
		for range 3 {
			p.get().want(t, 204, 10*time.Second)
		}
		// At 30 s the last poll began at 20 s, at 45 s it is too long ago.
		time.Sleep(5 * time.Second)
		p.post(joinA).want(t, 200, 0)
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		if got := conn.Channels(); len(got) != 1 {
			t.Errorf("joined: %q", got)
		}
		time.Sleep(time.Nanosecond)
		<-conn.Done()
		p.post(heartbeat).want(t, 410, 2*time.Second)
		before := p.token
		p.get().want(t, 410, 2*time.Second)
		if p.token == before {
			t.Error("no new token")
		}
		p.get().want(t, 204, 10*time.Second)
	})
}

func TestSecondPollSupersedesTheFirst(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
		first := make(chan answer)
		go func() { first <- p.get() }()
		time.Sleep(time.Second)
		second := make(chan answer)
		other := *p
		go func() { second <- other.get() }()
		time.Sleep(time.Second)
		p.post(joinA).want(t, 200, 0)
		(<-second).want(t, 200, time.Second, joinedText)
		(<-first).want(t, 204, 10*time.Second)
	})
}

// What a request that was given up would have got is lost.
func TestAbandonedPollLosesMessages(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		p.post(joinA).want(t, 200, 0)
		p.get().want(t, 200, 0, joinedText)
		ctx, cancel := context.WithCancel(context.Background())
		url := strings.Replace(s.URL(), "ws://", "http://", 1) + "/longpoll?vsn=2.0.0&token=" + p.token
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		if _, err := s.HTTPClient().Do(req); err == nil {
			t.Error("answered")
		}
		s.Broadcast("room:a", "lost", nil)
		synctest.Wait()
		p.get().want(t, 204, 10*time.Second)
	})
}

// A message that is not dealt with within the window takes the rest of its
// batch with it.
func TestPollSlowJoin(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
		p.post(`["1","1","room:slow","phx_join",1]`, joinA).want(t, 200, time.Second)
		p.post(`["2","2","room:slow","phx_join",12]`, `["1","3","room:a","echo",{}]`).want(t, 408, 10*time.Second)
		// The session is still busy when the next request asks for it.
		p.get().want(t, 410, 2*time.Second)
	})
}

func TestPollWhileJoining(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
		posted := make(chan answer)
		other := *p
		go func() { posted <- other.post(`["1","1","room:slow","phx_join",5]`) }()
		time.Sleep(4 * time.Second)
		p.get().want(t, 200, time.Second, `["1","1","room:slow","phx_reply",{"response":{},"status":"ok"}]`)
		(<-posted).want(t, 200, 5*time.Second)
	})
}

func TestPollBatches(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		p.post(joinA).want(t, 200, 0)
		p.get().want(t, 200, 0, joinedText)
		var lines, replies []string
		for i := range 105 {
			lines = append(lines, fmt.Sprintf(`["1","%d","room:a","echo",{}]`, i))
			replies = append(replies, fmt.Sprintf(`["1","%d","room:a","phx_reply",{"response":{},"status":"ok"}]`, i))
		}
		p.post(lines...).want(t, 200, 0)
		synctest.Wait()
		p.get().want(t, 200, 0, replies[:100]...)
		ndjson := http.Header{"Content-Type": {"application/x-ndjson"}}
		p.do(http.MethodPost, ndjson, lines[0]+"\r\n"+lines[1]).want(t, 200, 0)
		synctest.Wait()
		p.get().want(t, 200, 0, replies[:2]...)
		if got := len(s.Received("room:a", "echo")); got != 102 {
			t.Errorf("received %d", got)
		}
	})
}

func TestPollBinary(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
		p.post(joinA).want(t, 200, 0)
		p.get().want(t, 200, 0, joinedText)
		p.post("AAEBBgQxMnJvb206YWVjaG9oaQ==").want(t, 200, 0)
		synctest.Wait()
		p.get().want(t, 200, 0, "\x01\x01\x01\x06\x0212room:aokhi")
		// What is not UTF-8 takes everything else with it, but not the session.
		p.post(`["1","3","room:a","bin",{}]`).want(t, 200, 0)
		synctest.Wait()
		got := p.get()
		got.want(t, 500, 0)
		if len(got.header.Values("Access-Control-Allow-Origin")) != 0 {
			t.Errorf("headers of an exception: %v", got.header)
		}
		p.get().want(t, 204, 10*time.Second)
	})
}

func TestPollMalformed(t *testing.T) {
	const window = 10 * time.Second
	for name, test := range map[string]struct {
		contentType, body string
		status            int
		took              time.Duration
		survives          bool
	}{
		"not base64":         {"application/x-ndjson", "{}", 500, 0, true},
		"a lone CR":          {"application/x-ndjson", "AA\rAA", 500, 0, true},
		"empty":              {"application/x-ndjson", "", 408, window, false},
		"a trailing newline": {"application/x-ndjson", heartbeat + "\n", 408, window, false},
		"not JSON":           {"application/x-ndjson", "[", 408, window, false},
		"not UTF-8":          {"application/json", "[\"\xff\"]", 408, window, false},
		"a charset":          {"application/x-ndjson; charset=utf-8", heartbeat + "\n" + heartbeat, 408, window, false},
		"one with a charset": {"application/x-ndjson; charset=utf-8", heartbeat, 200, 0, true},
		"too large":          {"application/json", strings.Repeat(" ", 8_000_001), 400, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
				conn := s.Conns()[0]
				p.do(http.MethodPost, http.Header{"Content-Type": {test.contentType}}, test.body).want(t, test.status, test.took)
				select {
				case <-conn.Done():
					if test.survives {
						t.Error("the session has died")
					}
					p.post(heartbeat).want(t, 410, 2*time.Second)
				default:
					if !test.survives {
						t.Error("the session lives")
					}
				}
			})
		})
	}
}

func TestPollTokens(t *testing.T) {
	for release, want := range map[phoenixtest.Profile][3]int{
		phoenixtest.Phoenix1812: {200, 410, 204}, phoenixtest.Phoenix189: {410, 200, 204},
	} {
		pollBubble(t, &phoenixtest.Options{Profile: release}, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
			header := func(token string) http.Header {
				return http.Header{"Content-Type": {"application/x-ndjson"}, "X-Phoenix-Longpoll-Token": {token}}
			}
			token := p.token
			p.token = ""
			p.do(http.MethodPost, header(token), heartbeat).want(t, want[0], 0)
			p.token = token
			// The header wins over the query.
			p.do(http.MethodPost, header("garbage"), heartbeat).want(t, want[1], 0)
			p.get()
			p.get().want(t, want[2], 10*time.Second)
			for _, bad := range []string{"x", "SFMyNTY.x.y", token[:len(token)-1], token + "x", "SFMyNTY." + token} {
				p.token = bad
				p.post(heartbeat).want(t, 410, 0)
			}
		})
	}
	pollBubble(t, nil, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
		time.Sleep(1_209_600*time.Second + time.Millisecond)
		// The token itself is too old, so nobody asks for the session.
		p.post(heartbeat).want(t, 410, 0)
	})
}

func TestPollConnect(t *testing.T) {
	opts := &phoenixtest.Options{
		AuthToken: true,
		Connect: func(info *phoenixtest.ConnectInfo) error {
			switch {
			case info.Params.Has("crash"):
				panic("crash")
			case info.Params.Has("deny"):
				return phoenixtest.Refuse(500, nil, "never seen")
			}
			info.ID = info.Transport + ":" + info.AuthToken
			if info.HasAuthToken {
				info.ID += ":given"
			}
			return nil
		},
	}
	pollBubble(t, opts, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		p.token = ""
		p.do(http.MethodGet, http.Header{"X-Phoenix-Authtoken": {"a~b"}}, "").want(t, 410, 0)
		p.token = ""
		p.do(http.MethodGet, http.Header{"X-Phoenix-Authtoken": {""}}, "").want(t, 410, 0)
		p.token = ""
		p.get().want(t, 410, 0)
		for i, want := range []string{"longpoll:a~b:given", "longpoll::given", "longpoll:"} {
			if got := s.Conns()[i+1].ID(); got != want {
				t.Errorf("id %q, want %q", got, want)
			}
		}
		for query, want := range map[string]int{
			"vsn=2.0.0&deny": 403, "vsn=2.0.0&crash": 500, "vsn=9.0.0": 403, "vsn[]=2.0.0": 403, "vsn[a]=2.0.0": 500, "vsn=2.0.0&x=%": 410, "x=%ff": 400, "": 410,
		} {
			(&poller{t: t, s: s, query: query}).get().want(t, want, 0)
		}
	})
	pollBubble(t, &phoenixtest.Options{Profile: phoenixtest.Phoenix1724}, func(t *testing.T, s *phoenixtest.Server, _ *poller) {
		(&poller{t: t, s: s, query: "vsn[]=2.0.0"}).get().want(t, 500, 0)
	})
}

func TestPollV1(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, _ *poller) {
		p := newPoller(t, s, "x=1")
		p.do(http.MethodPost, http.Header{"Content-Type": {"application/json"}}, joinV1).want(t, 200, 0)
		got := p.get()
		if len(got.messages) != 1 || !sameJSON(got.messages[0], joinedV1) {
			t.Errorf("got %q", got.messages)
		}
	})
}

func TestPollHeaders(t *testing.T) {
	for release, cache := range map[phoenixtest.Profile]string{
		phoenixtest.Phoenix1812: "no-store", phoenixtest.Phoenix1724: "max-age=0, private, must-revalidate",
	} {
		pollBubble(t, &phoenixtest.Options{Profile: release}, func(t *testing.T, _ *phoenixtest.Server, p *poller) {
			got := p.post(heartbeat).header
			if got.Get("Cache-Control") != cache || got.Get("Content-Type") != "application/json; charset=utf-8" ||
				got.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("headers %v", got)
			}
			got = p.do(http.MethodOptions, http.Header{"Access-Control-Request-Headers": {"x-a", "x-b"}}, "").header
			if got.Get("Access-Control-Allow-Headers") != "x-a, x-b" || got.Get("Access-Control-Allow-Methods") != "get, post, options" ||
				got.Get("Access-Control-Max-Age") != "3600" {
				t.Errorf("headers %v", got)
			}
		})
	}
}
