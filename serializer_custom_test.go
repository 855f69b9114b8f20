package phoenix_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A pickySerializer is V2, but for what it refuses.
type pickySerializer struct {
	phoenix.Serializer
	mu     sync.Mutex
	encode map[string]bool // events
	decode map[string]bool
	own    bool // Encode ignores dst
}

var errPicky = errors.New("not to my taste")

func newPicky() *pickySerializer {
	return &pickySerializer{Serializer: phoenix.V2(), encode: map[string]bool{}, decode: map[string]bool{}}
}

func (p *pickySerializer) refuse(set map[string]bool, event string, refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set[event] = refuse
}

func (p *pickySerializer) Encode(dst []byte, m *phoenix.Message) (phoenix.Frame, error) {
	p.mu.Lock()
	refused := p.encode[m.Event]
	p.mu.Unlock()
	if refused {
		return phoenix.Frame{Data: append(dst, "half a fra"...)}, errPicky
	}
	if p.own {
		dst = nil
	}
	return p.Serializer.Encode(dst, m)
}

func (p *pickySerializer) Decode(f phoenix.Frame, m *phoenix.Message) error {
	if err := p.Serializer.Decode(f, m); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.decode[m.Event] {
		return errPicky
	}
	return nil
}

func TestASerializerThatWillNotEncodeFailsThatMessageOnly(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		picky := newPicky()
		s := h.Connected(&phoenix.SocketOptions{Serializer: picky})
		c := h.Joined(s, "room:1", nil)
		picky.refuse(picky.encode, "bad", true)
		// Several at a time, so that they share a batch.
		pushes := map[string][]*phoenix.Push{}
		for range 20 {
			for _, event := range []string{"echo", "bad"} {
				pushes[event] = append(pushes[event], c.PushAsync(t.Context(), event, event))
			}
		}
		if err := c.Cast(t.Context(), "bad", nil); err != nil {
			t.Errorf("Cast: %v", err)
		}
		for _, p := range pushes["echo"] {
			if reply, err := p.Wait(t.Context()); err != nil || reply.Response.String() != `"echo"` {
				t.Errorf("Push = %v, %v", reply, err)
			}
		}
		for _, p := range pushes["bad"] {
			_, err := p.Wait(t.Context())
			checkUnsent(t, "Push of what is refused", err, "payload")
			if !errors.Is(err, errPicky) {
				t.Errorf("%v does not wrap the serializer's error", err)
			}
		}
		if got := s.Stats(); got.CastsLost != 1 || got.Unsent != 21 || got.InFlight != 0 || got.Queued != 0 {
			t.Errorf("Stats = %+v, want one cast lost, 21 unsent", got)
		}
		if _, err := c.Push(t.Context(), "bad", nil); !errors.Is(err, errPicky) {
			t.Errorf("Push = %v", err)
		}
		h.At(0)
	})
}

func TestASerializerThatWillNotEncodeAJoinOrLeaveEndsIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		picky := newPicky()
		s := h.Connected(&phoenix.SocketOptions{Serializer: picky})
		c := h.Channel(s, "room:1", nil)
		picky.refuse(picky.encode, phoenix.EventJoin, true)
		_, err := c.Join(t.Context())
		wantInputError(t, "Join", err, "payload")
		if !errors.Is(err, errPicky) || c.State() != phoenix.ChannelClosed {
			t.Errorf("Join = %v, state %v", err, c.State())
		}
		h.At(0)
		picky.refuse(picky.encode, phoenix.EventJoin, false)
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("Join: %v", err)
		}
		picky.refuse(picky.encode, phoenix.EventLeave, true)
		if err := c.Leave(t.Context()); err != nil || c.State() != phoenix.ChannelClosed {
			t.Errorf("Leave = %v, state %v", err, c.State())
		}
		h.At(0)
		if got := s.Stats().InFlight; got != 0 {
			t.Errorf("%d calls are in flight", got)
		}
	})
}

func TestASerializerThatWillNotEncodeHeartbeatsIsNoSilentHang(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		picky := newPicky()
		picky.refuse(picky.encode, phoenix.EventHeartbeat, true)
		s := h.Socket(&phoenix.SocketOptions{Serializer: picky, RetryIf: func(error) bool { return false }})
		if err := s.Connect(t.Context()); !errors.Is(err, errPicky) {
			t.Errorf("Connect = %v", err)
		}
		h.At(0)
	})
}

func TestASerializerThatWillNotDecodeSkipsThatFrameOnly(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		picky := newPicky()
		s := h.Connected(&phoenix.SocketOptions{Serializer: picky})
		events := harness.CollectErrors(t, s)
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		picky.refuse(picky.decode, "bad", true)
		h.Srv.Broadcast("room:1", "bad", map[string]any{"secret": "hunter2"})
		h.Srv.Broadcast("room:1", "good", nil)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "good" {
			t.Errorf("got %+v, %v", m, err)
		}
		errs := events()
		var pe *phoenix.ProtocolError
		if len(errs) != 1 || !errors.As(errs[0], &pe) || !errors.Is(pe, errPicky) || pe.Size == 0 || strings.Contains(pe.Error(), "hunter2") {
			t.Errorf("the events are %v, want one ProtocolError", errs)
		}
		if got := s.Stats(); got.ProtocolErrors != 1 || got.Connects != 1 {
			t.Errorf("Stats = %+v", got)
		}
	})
}

func TestASerializerNeedNotAppend(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		picky := newPicky()
		picky.own = true
		c := h.Joined(h.Connected(&phoenix.SocketOptions{Serializer: picky}), "room:1", nil)
		var pushes []*phoenix.Push
		for i := range 50 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", strings.Repeat("x", 50-i)))
		}
		for i, p := range pushes {
			if reply, err := p.Wait(t.Context()); err != nil || len(reply.Response.Bytes()) != 52-i {
				t.Errorf("push %d: %v, %v", i, reply, err)
			}
		}
	})
}

// A lineSerializer is a protocol of its own: fields between tabs.
type lineSerializer struct{}

func (lineSerializer) Version() string { return "2.0.0" }

func (lineSerializer) Encode(dst []byte, m *phoenix.Message) (phoenix.Frame, error) {
	if m.Payload.IsBinary() {
		return phoenix.Frame{}, errPicky
	}
	for _, field := range []string{m.JoinRef, m.Ref, m.Topic, m.Event} {
		dst = append(append(dst, field...), '\t')
	}
	return phoenix.Frame{Data: append(dst, m.Payload.Bytes()...)}, nil
}

func (lineSerializer) Decode(f phoenix.Frame, m *phoenix.Message) error {
	fields := bytes.SplitN(f.Data, []byte("\t"), 5)
	if len(fields) != 5 {
		return errPicky
	}
	*m = phoenix.Message{
		JoinRef: string(fields[0]), Ref: string(fields[1]), Topic: string(fields[2]), Event: string(fields[3]),
		Payload: phoenix.NewPayload(fields[4], false),
	}
	return nil
}

func TestASerializerMaySpeakAnotherLanguage(t *testing.T) {
	var got harness.Recorder[string]
	tr := harness.NewPipeTransport(func(c *harness.PipeConn, f phoenix.Frame) {
		var m phoenix.Message
		if err := (lineSerializer{}).Decode(f, &m); err != nil {
			t.Errorf("the server got %q", f.Data)
			return
		}
		got.Add(m.Event + " " + m.Payload.String())
		payload, _ := json.Marshal(map[string]any{"status": "ok", "response": m.Payload})
		m.Event, m.Payload = phoenix.EventReply, phoenix.NewPayload(payload, false)
		reply, _ := (lineSerializer{}).Encode(nil, &m)
		c.Send(reply)
	})
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(&phoenix.SocketOptions{Serializer: lineSerializer{}, Transport: tr}), "room:1", nil)
		reply, err := c.Push(t.Context(), "echo", json.RawMessage(`{"a":1}`))
		if err != nil || reply.Response.String() != `{"a":1}` {
			t.Errorf("Push = %v, %v", reply, err)
		}
		if all := got.List(); len(all) != 3 || all[2] != `echo {"a":1}` {
			t.Errorf("the server got %q", all)
		}
	})
}

// A wrapped serializer is one that a user has put something around.
type wrapped struct{ phoenix.Serializer }

func TestBinaryRepliesPassThroughASerializerOfTheUsers(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Serializer: wrapped{phoenix.V2()}})
		c := h.Joined(s, "room:1", nil)
		reply, err := c.Push(t.Context(), "echo", phoenix.Binary("x"))
		if err != nil || reply.Status != "ok" || string(reply.Response.Bytes()) != "x" {
			t.Errorf("Push = %v, %v", reply, err)
		}
		h.At(0)
	})
}

// An object is a message of vsn 3.0.0, in which both sides speak.
type object struct {
	JoinRef string          `json:"join_ref"`
	Ref     string          `json:"ref"`
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Status  string          `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

type objectClient struct{}

func (objectClient) Version() string { return "3.0.0" }

func (objectClient) Encode(dst []byte, m *phoenix.Message) (phoenix.Frame, error) {
	data, err := json.Marshal(object{m.JoinRef, m.Ref, m.Topic, m.Event, "", m.Payload.Bytes()})
	return phoenix.Frame{Data: append(dst, data...)}, err
}

func (objectClient) Decode(f phoenix.Frame, m *phoenix.Message) error {
	var o object
	if err := json.Unmarshal(f.Data, &o); err != nil {
		return err
	}
	m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload = o.JoinRef, o.Ref, o.Topic, o.Event, phoenix.NewPayload(o.Payload, false)
	if o.Event == phoenix.EventReply {
		reply, err := json.Marshal(map[string]any{"status": o.Status, "response": o.Payload})
		m.Payload = phoenix.NewPayload(reply, false)
		return err
	}
	return nil
}

type objectServer struct{}

func (objectServer) Match(vsn string) bool { return vsn == "3.0.0" }

func (objectServer) Decode(_ phoenixtest.Opcode, data []byte) (phoenixtest.Message, error) {
	var o object
	err := json.Unmarshal(data, &o)
	return phoenixtest.Message{
		JoinRef: phoenixtest.Ref(o.JoinRef), Ref: phoenixtest.Ref(o.Ref), Topic: o.Topic, Event: o.Event,
		Payload: phoenixtest.JSON(string(o.Payload)),
	}, err
}

func (objectServer) Encode(m phoenixtest.ServerMessage) (phoenixtest.Opcode, []byte, error) {
	data, err := json.Marshal(object{string(m.JoinRef), string(m.Ref), m.Topic, m.Event, m.Status, m.Payload.Bytes()})
	return phoenixtest.OpText, data, err
}

func TestASerializerOfTheUsersWorksEndToEnd(t *testing.T) {
	harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
		t.Helper()
		in(t, &phoenixtest.Options{Serializers: []phoenixtest.Serializer{objectServer{}}}, func(t *testing.T, h *harness.Harness) {
			h.Srv.Handle("v3", phoenixtest.Channel{Events: phoenixtest.Events{
				"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
				"err":  func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.Error(p) },
			}})
			s := h.Connected(&phoenix.SocketOptions{Serializer: objectClient{}})
			c := h.Joined(s, "v3", nil)
			sub := c.Subscribe(nil)
			if n, err := phoenix.PushFor[int](t.Context(), c, "echo", 7); err != nil || n != 7 {
				t.Errorf("Push = %d, %v", n, err)
			}
			var re *phoenix.ReplyError
			if _, err := c.Push(t.Context(), "err", nil); !errors.As(err, &re) || re.Status != "error" {
				t.Errorf("Push = %v, want an error reply", err)
			}
			h.Srv.Broadcast("v3", "news", nil)
			if m, err := sub.Next(t.Context()); err != nil || m.Event != "news" {
				t.Errorf("Next = %v, %v", m, err)
			}
			if err := c.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}
