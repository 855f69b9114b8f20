package phoenixtest_test

import (
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// A poll that waits does not hear of the end of its session.
func TestPollOfASessionThatEnds(t *testing.T) {
	for name, end := range map[string]func(*phoenixtest.Server, *phoenixtest.Conn){
		"disconnect": func(s *phoenixtest.Server, _ *phoenixtest.Conn) { s.Disconnect("me") },
		"close":      func(_ *phoenixtest.Server, c *phoenixtest.Conn) { c.Close(1012, "") },
		"lost":       func(_ *phoenixtest.Server, c *phoenixtest.Conn) { c.LoseSession() },
	} {
		t.Run(name, func(t *testing.T) {
			opts := &phoenixtest.Options{Connect: func(i *phoenixtest.ConnectInfo) error { i.ID = "me"; return nil }}
			pollBubble(t, opts, func(t *testing.T, s *phoenixtest.Server, p *poller) {
				polled := make(chan answer)
				go func() { polled <- p.get() }()
				time.Sleep(time.Second)
				conn := s.Conns()[0]
				end(s, conn)
				<-conn.Done()
				(<-polled).want(t, 204, 10*time.Second)
				p.get().want(t, 410, 2*time.Second)
			})
		})
	}
}

func TestPollCut(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		polled, posted := make(chan answer), make(chan answer)
		go func() { polled <- p.get() }()
		time.Sleep(time.Second)
		go func() { posted <- p.post(`["1","1","room:slow","phx_join",5]`) }()
		time.Sleep(time.Second)
		s.Conns()[0].Cut()
		// The HTTP client may try a GET again by itself, on another connection.
		if got := <-polled; got.err == nil && (got.status != 410 || got.took != 4*time.Second) {
			t.Errorf("GET: %+v", got)
		}
		if got := <-posted; got.err == nil || got.took != time.Second {
			t.Errorf("POST: %+v", got)
		}
	})
}

func TestPollBlackhole(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		conn := s.Conns()[0]
		conn.Blackhole()
		done := make(chan answer)
		start := time.Now()
		go func() { done <- p.post(joinA) }()
		time.Sleep(time.Hour)
		conn.Cut()
		if got := <-done; got.err == nil || time.Since(start) != time.Hour {
			t.Errorf("answered with %+v", got)
		}
	})
}

func TestPollStall(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		conn := s.Conns()[0]
		conn.Stall()
		conn.Stall()
		done := make(chan answer)
		go func() { done <- p.post(joinA) }()
		time.Sleep(9 * time.Second)
		conn.Resume()
		conn.Resume()
		(<-done).want(t, 200, 9*time.Second)
		p.get().want(t, 200, 0, joinedText)
	})
}

func TestPollByHand(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		conn := s.Conns()[0]
		conn.SendRaw(phoenixtest.OpPing, nil)
		conn.SendRaw(phoenixtest.OpText, []byte("not a message"))
		conn.SendBytes([]byte("raw"))
		p.get().want(t, 200, 0, "not a message", "raw")
		s.Intercept(func(*phoenixtest.Conn, phoenixtest.Message) bool { runtime.Goexit(); return true })
		p.post(heartbeat).want(t, 408, 10*time.Second)
		<-conn.Done()
	})
}

func TestPollRefused(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		s.RefuseNext(1, 503, http.Header{"Retry-After": {"3"}}, "down")
		if got := p.get(); got.status != 503 || got.header.Get("Retry-After") != "3" {
			t.Errorf("got %+v", got)
		}
		s.HangRequests(true)
		time.AfterFunc(time.Second, func() { s.HangRequests(false) })
		p.post(heartbeat).want(t, 200, time.Second)
	})
}

// Presences leave when the session of one who has gone is found to be idle.
func TestPollPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", presenceChannel())
		c := open(t, s)
		c.send(t, joinA)
		c.wait(1)
		c.forget()
		p := newPoller(t, s, "vsn=2.0.0")
		p.post(`["1","1","room:a","phx_join",{"key":"u","meta":{}}]`).want(t, 200, 0)
		p.get()
		start := time.Now()
		c.wait(2)
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("left after %v", got)
		}
	})
}

func TestPollServerClose(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		p := newPoller(t, s, "vsn=2.0.0")
		done := make(chan answer)
		go func() { done <- p.get() }()
		s.Close()
		if got := <-done; got.err == nil && got.status != 503 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestPollLog(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		p.post(heartbeat)
		p.get()
		var got []string
		for _, f := range s.Frames() {
			got = append(got, f.String())
		}
		want := []string{
			`#1 open: GET /socket/longpoll vsn 2.0.0`,
			`#1 poll 410: GET /socket/longpoll, 0 messages`,
			`#1 <- ` + heartbeat,
			`#1 -> ` + heartbeatReply,
			`#1 poll 200: POST /socket/longpoll`,
			`#1 poll 200: GET /socket/longpoll, 1 messages`,
		}
		if len(got) != len(want) {
			t.Fatalf("got %q", got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("got %s, want %s", got[i], want[i])
			}
		}
	})
}
