package phoenixtest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

// client is a WebSocket client that knows nothing of Phoenix: it collects
// frames.
type client struct {
	ws *websocket.Conn

	mu     sync.Mutex
	frames []string
	times  []time.Time
	news   chan struct{}
	err    error
	ended  chan struct{}
}

// open connects to the default path with vsn 2.0.0.
func open(t testing.TB, s *phoenixtest.Server, params ...string) *client {
	t.Helper()
	c, res, err := dial(t, s, "/socket/websocket?"+strings.Join(append([]string{"vsn=2.0.0"}, params...), "&"))
	if err != nil {
		t.Fatalf("dial: %v (%v)", err, res)
	}
	return c
}

func dial(t testing.TB, s *phoenixtest.Server, path string, subprotocols ...string) (*client, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	base, _, _ := strings.Cut(s.URL(), "/socket")
	ws, res, err := websocket.Dial(ctx, base+path, &websocket.DialOptions{
		HTTPClient: s.HTTPClient(), Subprotocols: subprotocols,
	})
	if err != nil {
		return nil, res, err
	}
	ws.SetReadLimit(-1)
	c := &client{ws: ws, news: make(chan struct{}), ended: make(chan struct{})}
	go c.read()
	t.Cleanup(func() {
		ws.CloseNow()
		<-c.ended
	})
	return c, res, nil
}

func (c *client) read() {
	defer close(c.ended)
	for {
		typ, data, err := c.ws.Read(context.Background())
		c.mu.Lock()
		switch {
		case err != nil:
			c.err = err
		case typ == websocket.MessageBinary:
			c.frames = append(c.frames, "binary "+base64.StdEncoding.EncodeToString(data))
		default:
			c.frames = append(c.frames, string(data))
		}
		c.times = append(c.times, time.Now())
		close(c.news)
		c.news = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *client) send(t testing.TB, text string) {
	t.Helper()
	if err := c.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Errorf("send %.100s: %v", text, err)
	}
}

func (c *client) sendBinary(t testing.TB, data []byte) {
	t.Helper()
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, data); err != nil {
		t.Errorf("send: %v", err)
	}
}

// wait returns all frames as soon as there are n, or the connection has ended,
// or a minute has passed.
func (c *client) wait(n int) []string {
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		frames, news, err := slices.Clone(c.frames), c.news, c.err
		c.mu.Unlock()
		if len(frames) >= n || err != nil {
			return frames
		}
		select {
		case <-news:
		case <-deadline.C:
			return frames
		}
	}
}

// want waits for as many frames as there are in want and checks all that came.
func (c *client) want(t testing.TB, want ...string) {
	t.Helper()
	got := c.wait(len(want))
	if len(got) != len(want) {
		t.Errorf("got %d frames, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i := range want {
		if !sameJSON(got[i], want[i]) {
			t.Errorf("frame %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// forget empties the list of frames.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames, c.times = nil, nil
}

// code waits for the end of the connection and returns the close code, 1006
// for none.
func (c *client) code() int {
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	var ce websocket.CloseError
	if errors.As(c.err, &ce) {
		return int(ce.Code)
	}
	return 1006
}

func (c *client) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	ca, ok := canonical(a)
	cb, ok2 := canonical(b)
	return ok && ok2 && ca == cb
}

func canonical(text string) (string, bool) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", false
	}
	out, err := json.Marshal(v)
	return string(out), err == nil
}
