package phoenix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAPingIsAnsweredThoughALargePushIsStuck(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		conn := h.srv.Conns()[0]
		conn.Stall()
		push := c.PushAsync(t.Context(), "echo", strings.Repeat("x", 1<<20))
		time.Sleep(time.Second)
		for range 10 {
			if err := conn.SendRaw(phoenixtest.OpPing, []byte("are you there?")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		conn.Resume()
		if _, err := push.Wait(t.Context()); err != nil || s.Stats().Connects != 1 {
			t.Errorf("the push: %v; %d connections", err, s.Stats().Connects)
		}
		time.Sleep(time.Second)
		pongs := 0
		for _, f := range h.srv.Frames() {
			if f.Kind == phoenixtest.FrameReceived && f.Opcode == phoenixtest.OpPong && string(f.Data) == "are you there?" {
				pongs++
			}
		}
		if pongs != 10 {
			t.Errorf("%d pongs, want 10", pongs)
		}
	})
}

func TestManyPushesAtOnceKeepTheirOrderAndReplies(t *testing.T) {
	overBoth(t, &phoenixtest.Options{BufferSize: 300, FrameLog: 20000}, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{MaxQueue: -1})
		c := h.joined(s, "room:1", nil)
		const count = 6000 // more than the ring of pending calls has room for
		conn := h.srv.Conns()[0]
		conn.Stall()
		var pushes []*phoenix.Push
		for i := range count {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		time.Sleep(time.Second)
		conn.Resume()
		for i, p := range pushes {
			var n int
			reply, err := p.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := reply.Decode(&n); err != nil || n != i {
				t.Fatalf("reply %d = %d, %v", i, n, err)
			}
		}
		last := -1 // the log keeps the last ones only
		for _, m := range h.srv.Received("room:1", "echo") {
			var n int
			if err := m.Payload.Decode(&n); err != nil || last >= 0 && n != last+1 {
				t.Fatalf("message %d after %d, %v", n, last, err)
			}
			last = n
		}
		if last != count-1 {
			t.Errorf("the last message is %d", last)
		}
		if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 || st.Connects != 1 {
			t.Errorf("Stats = %+v", st)
		}
	})
}
