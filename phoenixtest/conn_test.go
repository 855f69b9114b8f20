package phoenixtest_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestCut(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		conn := s.Conns()[0]
		conn.Cut()
		if code := c.code(); code != 1006 {
			t.Errorf("code %d", code)
		}
		<-conn.Done()
		if got := s.Conns(); len(got) != 0 {
			t.Errorf("open: %v", got)
		}
		if err := conn.Send(phoenixtest.Message{}); !errors.Is(err, phoenixtest.ErrConnClosed) {
			t.Errorf("got %v", err)
		}
		if err := conn.SendBytes(nil); !errors.Is(err, phoenixtest.ErrConnClosed) {
			t.Errorf("got %v", err)
		}
		conn.Close(1000, "")
		conn.Stall()
		conn.Resume()
	})
}

func TestClose(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		for code, want := range map[int]int{1000: 1000, 1001: 1001, 1012: 1012, 4321: 4321, 1005: 1005, 1006: 1006} {
			c := open(t, s)
			conn := s.Conns()[0]
			conn.Send(phoenixtest.Message{Topic: "t", Event: "last"})
			conn.Close(code, strings.Repeat("é", 100))
			conn.Close(3000, "not any more")
			if got := c.code(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
			if want != 1006 {
				c.want(t, `[null,null,"t","last",{}]`)
			}
			<-conn.Done()
		}
	})
}

func TestCloseOfADeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{BufferSize: 512})
		s.Handle("room:*", phoenixtest.Channel{})
		rawDial(t, s)
		for range 100 {
			s.Broadcast("room:a", "x", strings.Repeat("x", 100))
		}
		start := time.Now()
		conn := s.Conns()[0]
		conn.Close(1012, "")
		<-conn.Done()
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("ended after %v", got)
		}
	})
}

func TestBlackhole(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.want(t, joinedA)
		conn := s.Conns()[0]
		conn.Blackhole()
		c.send(t, `["1","2","room:a","echo",{}]`)
		c.send(t, "garbage")
		s.Broadcast("room:a", "x", nil)
		s.Disconnect(conn.ID())
		conn.Close(1000, "")
		conn.Send(phoenixtest.Message{Topic: "t", Event: "e"})
		outlastIdleTimeout(s)
		c.want(t, joinedA)
		if !c.alive() {
			t.Error("closed")
		}
		if got := s.Received("room:a", "echo"); len(got) != 1 {
			t.Errorf("received %v", got)
		}
		c.ws.CloseNow()
		<-conn.Done()
	})
}

func TestBlackholeIgnoresTheClosingHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		c := open(t, s)
		s.Conns()[0].Blackhole()
		start := time.Now()
		if err := c.ws.Close(1000, ""); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestStall(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		size := 300_000
		if strings.Contains(s.URL(), "127.0.0.1") {
			size = 9_000_000 // the system's buffers grow
		}
		c := open(t, s)
		c.send(t, joinA)
		c.want(t, joinedA)
		conn := s.Conns()[0]
		conn.Stall()
		conn.Stall()
		text := `["1","2","room:a","echo","` + strings.Repeat("x", size) + `"]`
		sent := make(chan struct{})
		go func() {
			c.send(t, text)
			close(sent)
		}()
		time.Sleep(100 * time.Millisecond)
		select {
		case <-sent:
			t.Error("the write did not wait")
		default:
		}
		s.Broadcast("room:a", "news", nil)
		c.want(t, joinedA, `[null,null,"room:a","news",{}]`)
		conn.Resume()
		conn.Resume()
		<-sent
		c.forget()
		if got := c.wait(1); len(got) != 1 || len(got[0]) < size {
			t.Errorf("got %d frames", len(got))
		}
	})
}

// TestStallStopsAtOnce shows that a Read which waits already does not take
// more, so that a write backs up after as many bytes as the buffer has.
func TestStallStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{BufferSize: 300})
		s.Handle("room:*", phoenixtest.Channel{})
		nc, _ := rawDial(t, s)
		synctest.Wait()
		s.Conns()[0].Stall()
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := nc.Write(make([]byte, 1000)); n != 300 || err == nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		s.Conns()[0].Cut()
	})
}

func TestStallStopsTheIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		c := open(t, s)
		s.Conns()[0].Stall()
		time.Sleep(time.Hour)
		s.Conns()[0].Resume()
		time.Sleep(59 * time.Second)
		c.send(t, heartbeat)
		c.want(t, heartbeatReply)
	})
}
