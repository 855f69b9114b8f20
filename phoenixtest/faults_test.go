package phoenixtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

const (
	heartbeat      = `[null,"9","phoenix","heartbeat",{}]`
	heartbeatReply = `[null,"9","phoenix","phx_reply",{"response":{},"status":"ok"}]`
)

// onBoth runs a test in memory, in a bubble, and over TCP, outside of one.
func onBoth(t *testing.T, opts phoenixtest.Options, fn func(t *testing.T, s *phoenixtest.Server)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &opts)
			s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}})
			fn(t, s)
		})
	})
	t.Run("tcp", func(t *testing.T) {
		opts := opts
		opts.Network = phoenixtest.TCP
		s := phoenixtest.NewServer(t, &opts)
		s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}})
		fn(t, s)
	})
}

func dialError(t *testing.T, s *phoenixtest.Server, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
	if err == nil {
		ws.CloseNow()
	}
	return err
}

// outlastIdleTimeout waits longer than the idle timeout where that is free.
func outlastIdleTimeout(s *phoenixtest.Server) {
	if strings.Contains(s.URL(), "127.0.0.1") {
		time.Sleep(50 * time.Millisecond)
		return
	}
	time.Sleep(10 * time.Minute)
}

func TestRefuseDials(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		want := errors.New("no route to host")
		s.RefuseDials(want)
		if err := dialError(t, s, time.Minute); !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
		var op *net.OpError
		if _, err := s.DialContext(context.Background(), "tcp", "x:1"); !errors.As(err, &op) {
			t.Errorf("got %T", err)
		}
		c.send(t, heartbeat)
		c.want(t, heartbeatReply)
		s.RefuseDials(nil)
		if err := dialError(t, s, time.Minute); err != nil {
			t.Error(err)
		}
		refused := 0
		for _, f := range s.Frames() {
			if f.Kind == phoenixtest.ConnRefused {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("the log has %d refusals", refused)
		}
	})
}

func TestRefuseDialsClosesThePort(t *testing.T) {
	s := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	addr := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "ws://"), "/socket")
	s.RefuseDials(errors.New("x"))
	if nc, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v, %v", nc, err)
	}
	s.RefuseDials(nil)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestHangDials(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.HangDials(true)
		if err := dialError(t, s, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- dialError(t, s, time.Minute) }()
		time.Sleep(10 * time.Millisecond)
		s.HangDials(false)
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Nobody takes this one: Close has to release it.
		s.HangDials(true)
		go s.DialContext(context.Background(), "tcp", "")
	})
}

func TestHangUpgrades(t *testing.T) {
	testHang(t, (*phoenixtest.Server).HangUpgrades)
}

func TestHangRequests(t *testing.T) {
	testHang(t, (*phoenixtest.Server).HangRequests)
}

func testHang(t *testing.T, hang func(*phoenixtest.Server, bool)) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		hang(s, true)
		if err := dialError(t, s, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- dialError(t, s, time.Minute) }()
		time.Sleep(10 * time.Millisecond)
		hang(s, false)
		if err := <-done; err != nil {
			t.Error(err)
		}
		hang(s, true)
		go dialError(t, s, time.Minute)
		time.Sleep(10 * time.Millisecond)
	})
}

func TestRefuseNext(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.RefuseNext(2, 503, http.Header{"Retry-After": {"3"}}, "later")
		for range 2 {
			res := checkDial(t, s, "/socket/websocket?vsn=2.0.0", 503)
			body, _ := io.ReadAll(res.Body)
			if string(body) != "later" || res.Header.Get("Retry-After") != "3" {
				t.Errorf("got %q %v", body, res.Header)
			}
		}
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 101)
		s.RefuseNext(-1, 401, nil, "")
		for range 3 {
			checkDial(t, s, "/socket/websocket?vsn=2.0.0", 401)
		}
		s.RefuseNext(0, 0, nil, "")
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 101)
	})
}

func TestSwallowFrames(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.SwallowFrames(true)
		c := open(t, s)
		s.SwallowFrames(false)
		c.send(t, heartbeat)
		c.send(t, "no message at all")
		outlastIdleTimeout(s)
		c.want(t)
		if !c.alive() {
			t.Error("closed")
		}
		if got := s.Received("phoenix", "heartbeat"); len(got) != 1 {
			t.Errorf("received %v", got)
		}
		if err := s.Conns()[0].Send(phoenixtest.Message{Topic: "x", Event: "y"}); err != nil {
			t.Error(err)
		}
	})
}

func TestDownAndUp(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		url := s.URL()
		c := open(t, s)
		s.HangUpgrades(true)
		half := make(chan error, 1)
		go func() { half <- dialError(t, s, time.Minute) }()
		time.Sleep(10 * time.Millisecond)
		s.Down()
		if code := c.code(); code != 1006 {
			t.Errorf("code %d", code)
		}
		if err := <-half; err == nil {
			t.Error("a connection came up while the server was down")
		}
		s.HangUpgrades(false)
		if err := dialError(t, s, time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
		if n := len(s.Conns()); n != 0 {
			t.Errorf("%d connections", n)
		}
		s.Up()
		if s.URL() != url {
			t.Errorf("moved to %s", s.URL())
		}
		c = open(t, s)
		c.send(t, heartbeat)
		c.want(t, heartbeatReply)
	})
}

func TestDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{Connect: func(i *phoenixtest.ConnectInfo) error {
			i.ID = i.Params.Get("id")
			return nil
		}})
		s.Handle("room:*", phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply {
			c.Sleep(time.Second)
			return phoenixtest.OK(nil)
		}})
		a, b, busy := open(t, s, "id=1"), open(t, s, "id=2"), open(t, s, "id=1")
		busy.send(t, joinA)
		synctest.Wait()
		start := time.Now()
		s.Disconnect("")
		s.Disconnect("1")
		if a.code() != 1001 || time.Since(start) != 0 {
			t.Errorf("code %d after %v", a.code(), time.Since(start))
		}
		// Its transport process hears of it after the join.
		if busy.code() != 1001 || time.Since(start) != time.Second {
			t.Errorf("code %d after %v", busy.code(), time.Since(start))
		}
		busy.want(t, joinedA)
		if !b.alive() {
			t.Error("the wrong one was closed")
		}
	})
}

func TestCorruptBytes(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		conn := s.Conns()[0]
		conn.SendRaw(phoenixtest.OpText, []byte("not a message"))
		conn.SendBytes([]byte{0xF3, 0x00})
		if code := c.code(); code == 1000 {
			t.Errorf("code %d", code)
		}
		c.want(t, "not a message")
	})
}
