package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// Conversations over protocol 1.0.0 that were recorded with real servers. Here
// the client has to say what the recorded one said, gets what the real server
// answered, byte by byte, and has to make the right thing of it.

func TestRecordingsOfV1(t *testing.T) {
	files, err := filepath.Glob("../../phoenixtest/testdata/conformance/recordings*/v1_*.jsonl")
	if err != nil || len(files) != 7 {
		t.Fatalf("%d recordings (%v), want 7", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { replayRecording(t, data) })
		})
	}
}

// A recordedStep is a line of a recording.
type recordedStep struct {
	Op   string `json:"op"`
	Conn string `json:"conn"`
	Path string `json:"path"`
	Text string `json:"text"`
	Code int    `json:"code"`
}

func replayRecording(t *testing.T, data []byte) {
	h := &harness.Harness{T: t, Start: time.Now()}
	actors := map[string]*recordedActor{}
	for line := range bytes.Lines(data) {
		var step recordedStep
		if err := json.Unmarshal(line, &step); err != nil {
			t.Fatal(err)
		}
		switch a := actors[step.Conn]; step.Op {
		case "connect":
			actors[step.Conn] = newRecordedActor(t, h, step.Path)
		case "send":
			a.say(step.Text)
		case "recv":
			a.hear(step.Text)
		case "closed":
			a.lose(&phoenix.CloseError{Code: step.Code})
		default:
			t.Fatalf("unknown step %q", step.Op)
		}
	}
	for _, a := range actors {
		a.end()
	}
}

// A recordedActor is a client of a recording.
type recordedActor struct {
	t      *testing.T
	h      *harness.Harness
	socket *phoenix.Socket
	conn   *recordedConn
	calls  map[string]<-chan harness.Outcome // of those that wait for a reply, by ref
	events map[string]string                 // of the calls
	heard  map[string][]string               // what the topics should have delivered
	subs   map[string]*harness.Recorder[string]
}

func newRecordedActor(t *testing.T, h *harness.Harness, path string) *recordedActor {
	t.Helper()
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	a := &recordedActor{
		t: t, h: h, calls: map[string]<-chan harness.Outcome{}, events: map[string]string{},
		heard: map[string][]string{}, subs: map[string]*harness.Recorder[string]{},
	}
	opts := &phoenix.SocketOptions{
		Transport: a, Serializer: phoenix.V1(),
		HeartbeatInterval: -1, // the recorded clients send none by themselves, and number from 1
		ReconnectBackoff:  phoenix.Steps(time.Second), RejoinBackoff: phoenix.Steps(time.Second),
	}
	if u.Query().Get("vsn") == "2.0.0" {
		opts.Serializer = phoenix.V2()
	}
	if a.socket, err = phoenix.NewSocket("ws://phoenix.test"+path, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.socket.Close() // always nil
		<-a.socket.Done()
	})
	if err := a.socket.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// say has the client say what the recorded one said.
func (a *recordedActor) say(text string) {
	a.t.Helper()
	want := readWire(a.t, text)
	var payload any
	if want.payload != nil {
		payload = want.payload
	}
	call := func() (*phoenix.Reply, error) {
		c, ok := a.socket.Lookup(want.topic)
		if !ok {
			return nil, errors.New("no channel")
		}
		switch want.event {
		case phoenix.EventLeave:
			return nil, c.Leave(a.t.Context())
		case phoenix.EventJoin:
			return c.Join(a.t.Context())
		}
		return c.Push(a.t.Context(), want.event, payload)
	}
	switch {
	case want.topic == "phoenix":
		call = func() (*phoenix.Reply, error) {
			_, err := a.socket.Ping(a.t.Context())
			return nil, err
		}
	case want.event == phoenix.EventJoin:
		c := a.h.Channel(a.socket, want.topic, &phoenix.ChannelOptions{Params: payload})
		a.subs[want.topic] = a.h.Record(c.Subscribe(nil))
	}
	a.calls[want.ref], a.events[want.ref] = a.h.Spawn(call), want.event
	synctest.Wait()
	written := a.conn.written.List()
	if len(written) != len(a.events) {
		a.t.Fatalf("wrote %q, the recorded client %s", written, text)
	}
	got := readWire(a.t, written[len(written)-1])
	if want.payload == nil && string(got.payload) == "{}" {
		got.payload = nil // this client cannot leave out a key as that one did
	}
	if want.joinRef == "" && want.topic != "phoenix" && got.joinRef == "1" || want.event == phoenix.EventJoin && got.joinRef == got.ref {
		got.joinRef = want.joinRef // nor can it leave out the join_ref
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(wireMessage{})); diff != "" {
		a.t.Errorf("the client said (-recorded +got):\n%s", diff)
	}
}

// hear gives the client what the server answered.
func (a *recordedActor) hear(text string) {
	a.t.Helper()
	a.conn.frames <- phoenix.Frame{Data: []byte(text)}
	synctest.Wait()
	m := readWire(a.t, text)
	switch m.event {
	case phoenix.EventReply:
		a.answered(m)
	case phoenix.EventError:
		for ref, call := range a.calls {
			harness.WantPushError(a.t, (<-call).Err, true, phoenix.ErrChannelCrashed)
			delete(a.calls, ref)
		}
		c, _ := a.socket.Lookup(m.topic)
		harness.WantChannel(a.t, c, phoenix.ChannelErrored)
	case phoenix.EventClose: // in the recordings, after the reply to the leave
		if _, ok := a.socket.Lookup(m.topic); ok {
			a.t.Errorf("%s is still registered", m.topic)
		}
		a.heard[m.topic] = append(a.heard[m.topic], "closed")
	default:
		a.heard[m.topic] = append(a.heard[m.topic], m.event+" "+string(m.payload))
	}
}

func (a *recordedActor) answered(m wireMessage) {
	a.t.Helper()
	var want struct {
		Status   string          `json:"status"`
		Response json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(m.payload, &want); err != nil {
		a.t.Fatal(err)
	}
	call := a.calls[m.ref]
	delete(a.calls, m.ref)
	o := <-call
	var re *phoenix.ReplyError
	if want.Status == "ok" && o.Err != nil || want.Status != "ok" && (!errors.As(o.Err, &re) || re.Event != a.events[m.ref]) {
		a.t.Errorf("%s: %v, the reply is %s", a.events[m.ref], o.Err, m.payload)
	}
	if o.Reply != nil && (o.Reply.Status != want.Status || o.Reply.Response.String() != string(want.Response)) {
		a.t.Errorf("%s: reply %v, want %s", a.events[m.ref], o.Reply, m.payload)
	}
	if hasReply := a.events[m.ref] != phoenix.EventLeave && m.topic != "phoenix"; hasReply != (o.Reply != nil) {
		a.t.Errorf("%s: reply %v", a.events[m.ref], o.Reply)
	}
	c, ok := a.socket.Lookup(m.topic)
	switch a.events[m.ref] {
	case phoenix.EventLeave:
		if ok {
			a.t.Errorf("%s is registered after leaving", m.topic)
		}
	case phoenix.EventJoin:
		if joined := want.Status == "ok"; ok != joined {
			a.t.Errorf("%s registered: %v", m.topic, ok)
		} else if joined {
			harness.WantChannel(a.t, c, phoenix.ChannelJoined)
		}
	}
}

// lose ends the connection.
func (a *recordedActor) lose(why *phoenix.CloseError) {
	a.t.Helper()
	seen := make(chan error, 1)
	events := a.socket.Events(a.t.Context())
	go func() {
		for ev := range events {
			if ev.Err != nil {
				seen <- ev.Err
				return
			}
		}
	}()
	a.conn.lost <- why
	synctest.Wait()
	var ce *phoenix.CloseError
	if err := <-seen; !errors.As(err, &ce) || ce.Code != why.Code {
		a.t.Errorf("the connection was lost by %v, want %v", err, why)
	}
	for _, call := range a.calls {
		harness.Pending(a.t, call) // a join waits for the next connection
	}
	a.calls = nil
	time.Sleep(time.Second)
	synctest.Wait()
	if got := a.socket.Stats().Connects; got != 2 {
		a.t.Errorf("%d connections, want another one", got)
	}
}

func (a *recordedActor) end() {
	a.t.Helper()
	synctest.Wait()
	for ref := range a.calls {
		a.t.Errorf("%s, ref %s, has no outcome", a.events[ref], ref)
	}
	for topic, sub := range a.subs {
		harness.WantStrings(a.t, topic, sub.List(), a.heard[topic]...)
	}
	if got := a.socket.Stats(); got.ProtocolErrors != 0 || got.Orphans != 0 {
		a.t.Errorf("Stats = %+v", got)
	}
}

// Dial makes the actor the transport of its socket.
func (a *recordedActor) Dial(context.Context, *transport.DialRequest) (transport.Conn, error) {
	a.conn = &recordedConn{
		frames: make(chan phoenix.Frame, 1), lost: make(chan error, 1), closed: make(chan struct{}),
	}
	return a.conn, nil
}

// A recordedConn has a recording at its other end.
type recordedConn struct {
	written harness.Recorder[string]
	frames  chan phoenix.Frame
	lost    chan error
	closed  chan struct{}
	once    sync.Once
}

func (c *recordedConn) ReadFrame() (phoenix.Frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	case err := <-c.lost:
		return phoenix.Frame{}, err
	case <-c.closed:
		return phoenix.Frame{}, harness.ErrPipeClosed
	}
}

func (c *recordedConn) WriteFrames(frames []phoenix.Frame, _ time.Time) (int, error) {
	for _, f := range frames {
		c.written.Add(string(f.Data))
	}
	return len(frames), nil
}

func (c *recordedConn) Close(context.Context, int, string) error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// A wireMessage is a message as it is on the wire.
type wireMessage struct {
	joinRef, ref, topic, event string
	payload                    json.RawMessage
}

// readWire reads a frame of either version of the protocol.
func readWire(t *testing.T, text string) wireMessage {
	t.Helper()
	var o struct {
		Topic   string          `json:"topic"`
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
		Ref     *string         `json:"ref"`
		JoinRef *string         `json:"join_ref"`
	}
	var err error
	if strings.HasPrefix(text, "[") {
		err = json.Unmarshal([]byte(text), &[]any{&o.JoinRef, &o.Ref, &o.Topic, &o.Event, &o.Payload})
	} else {
		err = json.Unmarshal([]byte(text), &o)
	}
	if err != nil {
		t.Errorf("frame %s: %v", text, err)
	}
	m := wireMessage{topic: o.Topic, event: o.Event, payload: o.Payload}
	if o.JoinRef != nil {
		m.joinRef = *o.JoinRef
	}
	if o.Ref != nil {
		m.ref = *o.Ref
	}
	return m
}
