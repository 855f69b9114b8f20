package phoenix_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
)

// An unmarshalled is a text that was decoded, and where it lay.
type unmarshalled struct {
	text string
	at   *byte
}

// spiedUnmarshal returns an Unmarshal, and what tells the calls of it since the last
// time.
func spiedUnmarshal() (unmarshal func([]byte, any) error, calls func() []unmarshalled) {
	var mu sync.Mutex
	var all []unmarshalled
	unmarshal = func(data []byte, v any) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, unmarshalled{string(data), unsafe.SliceData(data)})
		return json.Unmarshal(data, v)
	}
	return unmarshal, func() []unmarshalled {
		mu.Lock()
		defer mu.Unlock()
		was := all
		all = nil
		return was
	}
}

// wantDecoded checks that each text was decoded once, where it lies.
func wantDecoded(t *testing.T, calls []unmarshalled, texts ...[]byte) {
	t.Helper()
	if len(calls) != len(texts) {
		t.Fatalf("Unmarshal was called with %v, want %d texts once each", calls, len(texts))
	}
	for i, text := range texts {
		if calls[i].text != string(text) {
			t.Errorf("call %d of Unmarshal got %s, want %s", i, calls[i].text, text)
		}
		if calls[i].at != unsafe.SliceData(text) {
			t.Errorf("call %d of Unmarshal got a copy of %s", i, text)
		}
	}
}

func TestAPayloadIsDecodedOnceAndWhereItLies(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		unmarshal, calls := spiedUnmarshal()
		var reply *phoenix.Reply // of the last push
		s := h.Connected(&phoenix.SocketOptions{
			Unmarshal: unmarshal,
			Trace:     &phoenix.Trace{PushDone: func(_ context.Context, info phoenix.PushDoneInfo) { reply = info.Reply }},
		})
		c := h.Channel(s, "room:1", nil)
		shouts := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
		same := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}}) // has the same messages
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{10, 1000, 20_000} { // each of which is kept in its own way
			want := strings.Repeat("x", size)
			got, err := phoenix.PushFor[string](t.Context(), c, "echo", want)
			if err != nil || got != want {
				t.Fatalf("PushFor = %.50s, %v", got, err)
			}
			wantDecoded(t, calls(), reply.Response.Bytes())

			if _, err := c.Push(t.Context(), "shout", want); err != nil {
				t.Fatal(err)
			}
			for got, err := range phoenix.MessagesFor[string](t.Context(), shouts) {
				if err != nil || got != want {
					t.Fatalf("MessagesFor = %.50s, %v", got, err)
				}
				break
			}
			m, err := same.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantDecoded(t, calls(), m.Payload.Bytes())
			shouts = c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}}) // it ended with the loop
		}
	})
}

// The text of a meta is copied once, so that one that is kept does not keep the
// others. That copy is its Raw, and what is decoded.
func TestAMetaIsDecodedOnceFromItsRaw(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		unmarshal, calls := spiedUnmarshal()
		s := h.Connected(&phoenix.SocketOptions{Unmarshal: unmarshal})
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{StateEvent: "shout"})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		state := `{"u1":{"metas":[{"id":1,"phx_ref":"1"},{"id":2,"phx_ref":"2"}],"user":{"a":1}},"u2":{"metas":[{"id":3,"phx_ref":"3"}]}}`
		if _, err := c.Push(t.Context(), "shout", json.RawMessage(state)); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		var metas [][]byte
		for e := range p.Snapshot().All() {
			for _, m := range e.Metas {
				metas = append(metas, m.Raw)
			}
		}
		wantDecoded(t, calls(), metas...)
	})
}

// A loop that does not keep what it gets puts nothing on the heap for it: neither the
// value nor the message, and of the payload only the copy that the reader makes.
func TestMessagesForHardlyAllocates(t *testing.T) {
	type flood struct {
		Pad string
		all [64]int // what a copy for each message would show
	}
	ignore := func([]byte, any) error { return nil }
	s, err := phoenix.NewSocket(startServerProcess(t), &phoenix.SocketOptions{Unmarshal: ignore})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := s.Channel("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	const count, size = 10_000, 2048
	receive := func() {
		sub := c.Subscribe(&phoenix.SubscribeOptions{Limit: -1, Events: []string{"flood"}})
		p := c.PushAsync(t.Context(), "flood", json.RawMessage(fmt.Sprintf(`{"Count":%d,"Size":%d}`, count, size)))
		n := 0
		for v, err := range phoenix.MessagesFor[flood](t.Context(), sub) {
			if err != nil || v.Pad != "" || v.all[n%len(v.all)] != 0 {
				t.Fatal(v, err)
			}
			if n++; n == count {
				break
			}
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	receive() // warm
	times, bytes := allocated(receive)
	if got := float64(times) / count; got > 0.3 {
		t.Errorf("a decoded broadcast allocates %.3f times, want at most 0.3", got)
	}
	if got := bytes / count; got > size+300 {
		t.Errorf("a decoded broadcast of %d bytes allocates %d bytes, want one copy and at most 300 more", size, got)
	}
}
