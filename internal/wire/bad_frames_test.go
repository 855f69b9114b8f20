package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAFrameThatCannotBeDecodedIsSkipped(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var traced harness.Recorder[*phoenix.ProtocolError]
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{ProtocolError: traced.Add}})
		events := harness.CollectErrors(t, s)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.Srv.Conns()[0]
		bad := 0
		for _, f := range []struct {
			op   phoenixtest.Opcode
			data string
		}{
			{phoenixtest.OpText, ""},
			{phoenixtest.OpText, "hello"},
			{phoenixtest.OpText, `{"topic":"room:1","event":"e","payload":{},"ref":null}`},
			{phoenixtest.OpText, `[null,null,"room:1","e"]`},
			{phoenixtest.OpText, `[null,null,"room:1","e"`},
			{phoenixtest.OpText, `[null,null,"room:1",{"a":1},{}]`},
			{phoenixtest.OpText, `[null,["1"],"room:1","e",{}]`},
			{phoenixtest.OpText, `["1","1","room:1","phx_reply","hunter2"]`},
			{phoenixtest.OpText, "\xff\xfe"},
			{phoenixtest.OpBinary, ""},
			{phoenixtest.OpBinary, "\x00"},
			{phoenixtest.OpBinary, "\x00\x01\x06\x061room:1push"},
			{phoenixtest.OpBinary, "\x01\x01\x02\x06\x02115room:1o"},
			{phoenixtest.OpBinary, "\x02\x06\xffroom:1"},
			{phoenixtest.OpBinary, "\x07\x00\x00\x00\x00"},
			{phoenixtest.OpBinary, `[null,null,"room:1","e",{}]`},
		} {
			if h.Polls && !utf8.ValidString(f.data) {
				continue // the server itself would fail on it
			}
			if h.Polls && strings.HasPrefix(f.data, "[null,null") && f.op == phoenixtest.OpBinary {
				continue // which comes as text
			}
			if err := conn.SendRaw(f.op, []byte(f.data)); err != nil {
				t.Fatal(err)
			}
			bad++
		}
		h.Srv.Broadcast("room:1", "after", nil)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "after" {
			t.Errorf("got %v, %v, want what came after the bad frames", m, err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push: %v", err)
		}
		errs := events()
		if len(errs) != bad || len(traced.List()) != bad || s.Stats().ProtocolErrors != uint64(bad) {
			t.Errorf("%d events, %d traced, %d counted; want %d", len(errs), len(traced.List()), s.Stats().ProtocolErrors, bad)
		}
		for i, err := range errs {
			var pe *phoenix.ProtocolError
			if !errors.As(err, &pe) || pe != traced.List()[i] || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("event %d: %v", i, err)
			}
		}
		if got := s.Stats().Connects; got != 1 || s.State() != phoenix.SocketOpen {
			t.Errorf("%d connections, %v", got, s.State())
		}
	})
}

func TestOddFramesAreUnderstood(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.Srv.Conns()[0]
		for _, f := range []struct{ frame, event, payload string }{
			{`[null,null,"room:1","plain",{}]`, "plain", "{}"},
			{` [ null , null , "room:1" , "blanks" , {"a": 1} ] `, "blanks", `{"a": 1}`},
			{"[null,\nnull,\n\"room:1\",\"lines\",\n[]\n]", "lines", `[]`},
			{`[null,null,"room:\u0031","escaped topic",0]`, "escaped topic", "0"},
			{`[null,null,"room:1","escaped \"event\"",null]`, `escaped "event"`, "null"},
			{`[null,7,"room:1","numeric ref","x"]`, "numeric ref", `"x"`},
			{`[null, null,"room:1","extra elements",{},1,[2]]`, "extra elements", "{}"},
			{`[null,null,"room:1","",{}]`, "", "{}"},
		} {
			if err := conn.SendRaw(phoenixtest.OpText, []byte(f.frame)); err != nil {
				t.Fatal(err)
			}
			m, err := sub.Next(t.Context())
			if err != nil || m.Event != f.event || m.Payload.String() != f.payload || m.Topic != "room:1" {
				t.Errorf("%s: %+v, %v", f.frame, m, err)
			}
		}
		if got := s.Stats().ProtocolErrors; got != 0 {
			t.Errorf("%d protocol errors", got)
		}
	})
}

func TestFramesForNobodyAreIgnored(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.Srv.Conns()[0]
		for _, frame := range []string{
			`[null,null,"room:2","e",{}]`,
			`[null,null,null,null,{}]`,
			`[null,null,1,2,{}]`,
			`["999",null,"room:1","stale join_ref",{}]`,
			`["x",null,"room:1","foreign join_ref",{}]`,
			`["999","999","room:1","phx_close",{}]`,
			`["999","999","room:1","phx_error",{}]`,
			`[null,"12345","room:1","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,null,"room:1","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,"-1","phoenix","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,null,"phoenix","heartbeat",{}]`,
		} {
			if err := conn.SendRaw(phoenixtest.OpText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		h.Srv.Broadcast("room:1", "after", nil)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "after" {
			t.Errorf("got %+v, %v", m, err)
		}
		if st := s.Stats(); st.Orphans != 3 || st.ProtocolErrors != 0 || st.Connects != 1 {
			t.Errorf("Stats = %+v, want 3 orphans", st)
		}
		if c.State() != phoenix.ChannelJoined {
			t.Errorf("the channel is %v", c.State())
		}
	})
}

func TestAFrameOverMaxMessageSizeEndsTheConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{MaxMessageSize: 1000})
		events := harness.CollectErrors(t, s)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		frame := func(size int) []byte {
			const envelope = `[null,null,"room:1","e",""]`
			return []byte(strings.Replace(envelope, `""`, `"`+strings.Repeat("x", size-len(envelope))+`"`, 1))
		}
		if err := h.Srv.Conns()[0].SendRaw(phoenixtest.OpText, frame(1000)); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "e" {
			t.Errorf("a frame of exactly the limit: %v, %v", m, err)
		}
		push := c.PushAsync(t.Context(), "silent", nil)
		time.Sleep(time.Millisecond)
		if err := h.Srv.Conns()[0].SendRaw(phoenixtest.OpText, frame(1001)); err != nil {
			t.Fatal(err)
		}
		if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrMessageTooBig) || !errors.Is(err, phoenix.ErrConnectionLost) || phoenix.SafeToRetry(err) {
			t.Errorf("the push in flight: %v", err)
		}
		if _, err := sub.Next(t.Context()); err == nil || !errors.Is(err, phoenix.ErrMessageTooBig) {
			t.Errorf("Next = %v, want a GapError that says why", err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil || s.Stats().Connects != 2 {
			t.Errorf("Push: %v on connection %d", err, s.Stats().Connects)
		}
		errs := events()
		if len(errs) == 0 || !errors.Is(errs[0], phoenix.ErrMessageTooBig) || !strings.Contains(errs[0].Error(), "1000 bytes (MaxMessageSize)") {
			t.Errorf("the events are %v", errs)
		}
		if h.Polls {
			return // without a word to the server
		}
		var closes []int
		for _, f := range h.Srv.Frames() {
			if f.Kind == phoenixtest.FrameReceived && f.Opcode == phoenixtest.OpClose {
				closes = append(closes, f.Code)
			}
		}
		if len(closes) != 1 || closes[0] != 1009 {
			t.Errorf("close frames with %v, want one with 1009", closes)
		}
	})
}

func TestNoLimitForMessagesTakesAny(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{MaxFrameSize: -1}, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(&phoenix.SocketOptions{MaxMessageSize: -1}), "room:1", nil)
		size := 17 << 20
		if h.Polls {
			size = 7 << 20 // the server's limit is 8,000,000 bytes
		}
		big := strings.Repeat("x", size)
		if reply, err := c.Push(t.Context(), "echo", big); err != nil || len(reply.Response.Bytes()) != len(big)+2 {
			t.Errorf("Push of %d bytes: %v", size, err)
		}
	})
}

func TestCorruptBytesEndTheConnection(t *testing.T) {
	for name, data := range map[string]string{
		"reserved bits":      "\xf1\x02{}",
		"unknown opcode":     "\x83\x00",
		"fragmented ping":    "\x09\x00",
		"long ping":          "\x89\x7e\x01\x00",
		"negative length":    "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
		"close of one byte":  "\x88\x01x",
		"stray continuation": "\x80\x01x",
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				push := c.PushAsync(t.Context(), "silent", nil)
				time.Sleep(time.Millisecond)
				conn := h.Srv.Conns()[0]
				if err := conn.SendBytes([]byte(data)); err != nil {
					t.Fatal(err)
				}
				if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrConnectionLost) || phoenix.SafeToRetry(err) {
					t.Errorf("the push in flight: %v", err)
				}
				<-conn.Done()
				if _, err := c.Push(t.Context(), "echo", nil); err != nil || s.Stats().Connects != 2 {
					t.Errorf("Push: %v on connection %d", err, s.Stats().Connects)
				}
			})
		})
	}
}

func TestAPayloadIsRightOrAProtocolError(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.Srv.Conns()[0]
		bad := uint64(0)
		for _, f := range []struct{ frame, payload string }{ // "" for a ProtocolError
			{`[null,null,"room:1","e",{"a":oops}]`, ""},
			{`[null,null,"room:1","e",]`, ""},
			{`[null,null,"room:1","e",{}}]`, ""},
			{`[null,null,"room:1","e",{"a":1,}]`, ""},
			{`[null,null,"room:1","e",01]`, ""},
			{`[null,null,"room:1","e",{}]]`, ""},
			{`[null,null,"room:1","e",{}] x]`, ""},
			{`[null,null,"room:1","e",{}][]`, ""},
			{`[null,null,"room:1","e",{},oops]`, ""},
			{`[null,null,"room:1","e",{"a":"\x"}]`, ""},
			{`[null,null,"room:1","e",` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `]`, ""},
			{`[null,null,"room:1","e",{"a":1},{"b":2}]`, `{"a":1}`},
			{`[null,null,"room:1","e","a","b"]`, `"a"`},
			{`[null,null,"room:1","e",{"a":1} ]`, `{"a":1}`},
		} {
			if err := conn.SendRaw(phoenixtest.OpText, []byte(f.frame)); err != nil {
				t.Fatal(err)
			}
			if f.payload == "" {
				bad++
				continue
			}
			if m, err := sub.Next(t.Context()); err != nil || m.Payload.String() != f.payload {
				t.Errorf("%.60s: %v, %v; want %s", f.frame, m, err, f.payload)
			}
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Error(err)
		}
		if got := s.Stats().ProtocolErrors; got != bad || sub.Len() != 0 {
			t.Errorf("%d protocol errors and %d messages more, want %d and 0", got, sub.Len(), bad)
		}
	})
}
