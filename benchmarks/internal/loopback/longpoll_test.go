package loopback_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// A poller makes requests of a long poll.
type poller struct {
	t      *testing.T
	client *http.Client
	url    string
}

func newPoller(t *testing.T, s *loopback.Server) *poller {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	p := &poller{t, &http.Client{Transport: tr}, "http" + strings.TrimPrefix(s.Endpoint(), "ws") + "/longpoll?vsn=2.0.0"}
	if got, want := p.get(), `{"messages":[],"status":410,"token":"session-1"}`; got != want {
		t.Fatalf("the first GET is answered with %s, want %s", got, want)
	}
	p.url += "&token=session-1"
	return p
}

func (p *poller) get() string {
	p.t.Helper()
	return p.do(http.MethodGet, "", "")
}

func (p *poller) post(body string) string {
	p.t.Helper()
	return p.do(http.MethodPost, body, "application/x-ndjson")
}

func (p *poller) do(method, body, contentType string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s, %v", method, resp.Status, err)
	}
	return string(text)
}

func TestLongPollAnswers(t *testing.T) {
	s := startServer(t)
	p := newPoller(t, s)
	big := strings.Repeat("x", 200_000)
	for _, step := range []struct{ post, want string }{
		{
			`["1","1","room:1","phx_join",{}]`,
			`["[\"1\",\"1\",\"room:1\",\"phx_reply\",{\"response\":{},\"status\":\"ok\"}]"]`,
		},
		{
			`[null,"2","phoenix","heartbeat",{}]` + "\n" + `["1","3","room:1","echo",{"a":"\n"}]`,
			`["[null,\"2\",\"phoenix\",\"phx_reply\",{\"response\":{},\"status\":\"ok\"}]",` +
				`"[\"1\",\"3\",\"room:1\",\"phx_reply\",{\"response\":{\"a\":\"\\n\"},\"status\":\"ok\"}]"]`,
		},
		{
			`["1","4","room:1","echo","` + big + `"]`,
			`["[\"1\",\"4\",\"room:1\",\"phx_reply\",{\"response\":\"` + big + `\",\"status\":\"ok\"}]"]`,
		},
	} {
		if got := p.post(step.post); got != `{"status":200}` {
			t.Fatalf("POST is answered with %s", got)
		}
		if got, want := p.get(), `{"messages":`+step.want+`,"status":200,"token":"session-1"}`; got != want {
			t.Errorf("GET after %.80s is answered with %.300s, want %.300s", step.post, got, want)
		}
	}
	waiting := make(chan string)
	go func() { waiting <- p.get() }()
	// More than waits for a poll, in several polls.
	const n = 5000
	p.post(fmt.Sprintf(`["1","5","room:1","flood",{"n":%d,"size":200}]`, n))
	got := <-waiting
	for strings.Count(got, wire.Flood) < n || !strings.Contains(got, "phx_reply") {
		got += p.get()
	}
	if strings.Count(got, wire.Flood) != n || strings.Count(got, `"messages"`) < 2 {
		t.Errorf("a flood brought %d messages in %d polls, want %d in several", strings.Count(got, wire.Flood), strings.Count(got, `"messages"`), n)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

func TestLongPollComplaints(t *testing.T) {
	for name, odd := range map[string]func(p *poller){
		"no vsn":                    func(p *poller) { p.url = strings.Replace(p.url, "vsn", "v", 1); p.get() },
		"a session of somebody":     func(p *poller) { p.url += "0"; p.get() },
		"a POST of one message":     func(p *poller) { p.do(http.MethodPost, `["1","1","room:1","phx_join",{}]`, "application/json") },
		"a message that is not V2":  func(p *poller) { p.post(`{"topic":"room:1"}`) },
		"a method of somebody else": func(p *poller) { p.do(http.MethodDelete, "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			odd(newPoller(t, s))
			if err := s.Close(); err == nil {
				t.Error("the server did not complain")
			}
		})
	}
}

// BenchmarkLongPollServer shows how fast the server is with a client that costs next to
// nothing: a POST of 64 messages, and the poll that brings the replies.
func BenchmarkLongPollServer(b *testing.B) {
	const batch = 64
	s := startServer(b)
	var d net.Dialer
	host, _, _ := strings.Cut(strings.TrimPrefix(s.Endpoint(), "ws://"), "/")
	nc, err := d.DialContext(b.Context(), "tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	buf := make([]byte, 1<<16)
	roundTrip := func(method, query, body string) []byte {
		request := fmt.Appendf(nil, "%s /socket/longpoll?vsn=2.0.0%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s",
			method, query, len(body), body)
		if _, err := nc.Write(request); err != nil {
			b.Fatal(err)
		}
		for have := 0; ; {
			n, err := nc.Read(buf[have:])
			if err != nil {
				b.Fatal(err)
			}
			if have += n; bytes.HasSuffix(buf[:have], []byte("}")) && bytes.Contains(buf[have-min(have, 50):have], []byte(`"status":`)) {
				return buf[:have]
			}
		}
	}
	roundTrip("GET", "", "")
	const query = "&token=session-1"
	roundTrip("POST", query, string(wire.AppendPush(nil, 1, "phx_join", []byte("{}"))))
	roundTrip("GET", query, "")
	push := string(wire.AppendPush(nil, 1_000_000, wire.Echo, wire.Payload(100)))
	lines := strings.Repeat(push+"\n", batch-1) + push
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		roundTrip("POST", query, lines)
		if got := roundTrip("GET", query, ""); bytes.Count(got, []byte("phx_reply")) != batch {
			b.Fatalf("a poll brought %d replies", bytes.Count(got, []byte("phx_reply")))
		}
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
