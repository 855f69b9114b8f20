package phoenix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

type traceKey struct{}

// A tracer notes what the hooks of a Trace get, and checks that the ctx of each
// Done is the one that its Start returned.
type tracer struct {
	t   *testing.T
	log harness.Recorder[string]
}

func (tr *tracer) start(ctx context.Context, format string, args ...any) context.Context {
	what := fmt.Sprintf(format, args...)
	tr.log.Add(what)
	if ctx.Value(traceKey{}) != nil {
		tr.t.Errorf("%s began in the ctx of %v", what, ctx.Value(traceKey{}))
	}
	return context.WithValue(ctx, traceKey{}, what)
}

func (tr *tracer) done(ctx context.Context, format string, args ...any) {
	tr.log.Add(fmt.Sprintf("%s => %s", ctx.Value(traceKey{}), fmt.Sprintf(format, args...)))
}

func (tr *tracer) trace() *phoenix.Trace {
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, i phoenix.ConnectStartInfo) context.Context {
			return tr.start(ctx, "connect %s %d", i.Endpoint, i.Attempt)
		},
		ConnectDone: func(ctx context.Context, i phoenix.ConnectDoneInfo) {
			tr.done(ctx, "%s %d %v", i.Endpoint, i.Attempt, i.Err)
		},
		JoinStart: func(ctx context.Context, i phoenix.JoinStartInfo) context.Context {
			if lost := i.Lost != nil; lost != i.Rejoin {
				tr.t.Errorf("join of %s: rejoin %v, lost %v", i.Topic, i.Rejoin, i.Lost)
			}
			return tr.start(ctx, "join %s %v %d", i.Topic, i.Rejoin, i.Attempt)
		},
		JoinDone: func(ctx context.Context, i phoenix.JoinDoneInfo) {
			tr.done(ctx, "%s %v %v", i.Topic, i.Reply != nil, i.Err)
		},
		PushStart: func(ctx context.Context, i phoenix.PushStartInfo) context.Context {
			return tr.start(ctx, "push %s %s %d %v %v", i.Topic, i.Event, i.Size, i.Binary, i.Cast)
		},
		PushDone: func(ctx context.Context, i phoenix.PushDoneInfo) {
			tr.done(ctx, "%s %v %v", i.Event, i.Reply != nil, i.Err)
		},
		CallbackStart: func(ctx context.Context, i phoenix.CallbackInfo) context.Context {
			return tr.start(ctx, "callback %s %s %d", i.Topic, i.Event, i.Queued)
		},
		CallbackDone: func(ctx context.Context, i phoenix.CallbackInfo) { tr.done(ctx, "%s", i.Event) },
		Disconnected: func(err error) { tr.log.Add(fmt.Sprint("disconnected ", err != nil)) },
		Heartbeat:    func(rtt time.Duration) { tr.log.Add(fmt.Sprint("heartbeat ", rtt)) },
		Message: func(i phoenix.MessageInfo) {
			tr.log.Add(fmt.Sprintf("message %s %s %d %v", i.Topic, i.Event, i.Size, i.Binary))
		},
	}
}

// take returns what was noted since the last time.
func (tr *tracer) take() []string {
	synctest.Wait()
	tr.log.Mu.Lock()
	defer tr.log.Mu.Unlock()
	all := tr.log.All
	tr.log.All = nil
	return all
}

func (tr *tracer) want(what string, want ...string) {
	tr.t.Helper()
	harness.WantItems(tr.t, what, tr.take(), want...)
}

func TestTraceTellsWhatHappens(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		tr := &tracer{t: t}
		h.Srv.RefuseNext(1, 503, nil, "")
		s := h.Connected(&phoenix.SocketOptions{Trace: tr.trace()})
		const refused = "phoenix: the server answered the handshake with HTTP status 503 Service Unavailable (ws://phoenix.test/socket/websocket)"
		const endpoint = "ws://phoenix.test/socket"
		tr.want("connect",
			"connect "+endpoint+" 1", "connect "+endpoint+" 1 => "+endpoint+" 1 "+refused,
			"connect "+endpoint+" 2", "heartbeat 0s", "connect "+endpoint+" 2 => "+endpoint+" 2 <nil>")

		c := h.Joined(s, "room:1", nil)
		tr.want("join", "join room:1 false 1", "join room:1 false 1 => room:1 true <nil>")
		if _, err := h.Channel(s, "room:deny", nil).Join(t.Context()); err == nil {
			t.Error("Join succeeded")
		}
		tr.want("refused join", "join room:deny false 1", `join room:deny false 1 => room:deny true phoenix: join on "room:deny": status "error": unauthorized`)

		c.Push(t.Context(), "echo", "12")
		tr.want("push", "push room:1 echo 4 false false", "push room:1 echo 4 false false => echo true <nil>")
		c.PushAsync(t.Context(), "echo", phoenix.Binary("123"))
		tr.want("async", "push room:1 echo 3 true false", "push room:1 echo 3 true false => echo true <nil>")
		c.Cast(t.Context(), "silent", nil)
		tr.want("cast", "push room:1 silent 2 false true", "push room:1 silent 2 false true => silent false <nil>")
		c.Push(t.Context(), "err", nil)
		tr.want("error reply", "push room:1 err 2 false false", `push room:1 err 2 false false => err true phoenix: push "err" on "room:1": status "error"`)
		const bad = `phoenix: push "e" on "room:1": never sent: bad payload: a []byte is ambiguous: use phoenix.Binary for a binary message or json.RawMessage for JSON text`
		c.Push(t.Context(), "e", []byte("x"))
		tr.want("bad push", "push room:1 e 0 false false", "push room:1 e 0 false false => e false "+bad)
		c.PushAsync(t.Context(), "e", []byte("x"))
		tr.want("bad async", "push room:1 e 0 false false", "push room:1 e 0 false false => e false "+bad)
		c.Cast(t.Context(), "e", []byte("x"))
		tr.want("bad cast", "push room:1 e 0 false true", "push room:1 e 0 false true => e false "+bad)

		c.On("shout", func(*phoenix.Message) {})
		h.Srv.Broadcast("room:1", "shout", nil)
		tr.wantUnordered("callback", "message room:1 shout 2 false", "callback room:1 shout 0", "callback room:1 shout 0 => shout")
		h.Srv.Broadcast("room:1", "nobody's", phoenixtest.Binary("123"))
		tr.want("a message that nobody wants", "message room:1 nobody's 3 true")
		h.Srv.Broadcast("room:2", "shout", nil)
		tr.want("a message of another topic")

		p := c.PushAsync(t.Context(), "silent", nil)
		tr.take()
		h.Srv.Conns()[0].Cut()
		_, err := p.Wait(t.Context())
		synctest.Wait()
		if all := tr.take(); len(all) < 2 || !errors.Is(err, phoenix.ErrConnectionLost) {
			t.Errorf("after a cut: %v, %v", all, err)
		}
		time.Sleep(5 * time.Second)
		// The connection had not lasted, so that the attempts are counted on.
		tr.wantUnordered("reconnect", "connect "+endpoint+" 3", "heartbeat 0s", "connect "+endpoint+" 3 => "+endpoint+" 3 <nil>",
			"join room:1 true 1", "join room:1 true 1 => room:1 true <nil>")
		s.Close()
		tr.want("close", "disconnected true")
	})
}

func TestProvidersRunInTheCtxOfTheirTrace(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		tr := &tracer{t: t}
		var seen harness.Recorder[string]
		s := h.Connected(&phoenix.SocketOptions{Trace: tr.trace(), AuthToken: func(ctx context.Context) (string, error) {
			seen.Add(fmt.Sprint(ctx.Value(traceKey{})))
			return "", nil
		}})
		h.Joined(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) {
			seen.Add(fmt.Sprint(ctx.Value(traceKey{})))
			return nil, nil
		}})
		harness.WantItems(t, "providers", seen.List(), "connect ws://phoenix.test/socket 1", "join room:1 false 1")
	})
}

func TestFramesAreTracedInBothDirections(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var log harness.Recorder[string]
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			FrameIn:  func(f phoenix.Frame) { log.Add(fmt.Sprintf("< %v %q", f.Binary, f.Data)) },
			FrameOut: func(f phoenix.Frame) { log.Add(fmt.Sprintf("> %v %q", f.Binary, f.Data)) },
		}})
		c := h.Joined(s, "room:1", nil)
		c.Push(t.Context(), "echo", phoenix.Binary("x"))
		harness.WantItems(t, "frames", log.List(),
			`> false "[null,\"1\",\"phoenix\",\"heartbeat\",{}]"`,
			`< false "[null,\"1\",\"phoenix\",\"phx_reply\",{\"response\":{},\"status\":\"ok\"}]"`,
			`> false "[\"2\",\"2\",\"room:1\",\"phx_join\",{}]"`,
			`< false "[\"2\",\"2\",\"room:1\",\"phx_reply\",{\"response\":{},\"status\":\"ok\"}]"`,
			`> true "\x00\x01\x01\x06\x0423room:1echox"`,
			`< true "\x01\x01\x01\x06\x0223room:1okx"`,
		)
		st := s.Stats()
		if st.FramesIn != 3 || st.FramesOut != 3 || st.BytesIn == 0 || st.BytesOut == 0 || st.Joined != 1 || st.Channels != 1 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// Each trace of a MultiTrace sees all, and its Done gets the ctx of its own Start.
// A Marshal may return the same memory each time, and a hook may use it, too.
func TestAHookDoesNotChangeWhatIsSent(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var buf bytes.Buffer
		marshal := func(v any) ([]byte, error) {
			buf.Reset()
			err := json.NewEncoder(&buf).Encode(v)
			return bytes.TrimSpace(buf.Bytes()), err
		}
		s := h.Connected(&phoenix.SocketOptions{Marshal: marshal, Trace: &phoenix.Trace{
			PushStart: func(_ context.Context, i phoenix.PushStartInfo) context.Context {
				if _, err := marshal([]phoenix.PushStartInfo{i}); err != nil {
					t.Error(err)
				}
				return nil
			},
		}})
		c := h.Joined(s, "room:1", nil)
		received := h.Swallow("hold")
		if err := c.Cast(t.Context(), "hold", "cast"); err != nil {
			t.Error(err)
		}
		c.PushAsync(t.Context(), "hold", "asynchronous")
		h.GoPush(t.Context(), c, "hold", "push")
		synctest.Wait()
		harness.WantStrings(t, "the payloads received", harness.Payloads(received.List()), `"cast"`, `"asynchronous"`, `"push"`)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestTracesTogetherSeeWhatEachSeesAlone(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		alone, first, last := &tracer{t: t}, &tracer{t: t}, &tracer{t: t}
		life := func(tr *phoenix.Trace) {
			s := h.Connected(&phoenix.SocketOptions{Trace: tr})
			c := h.Joined(s, "room:1", nil)
			c.On("a", func(*phoenix.Message) {})
			if _, err := c.Push(t.Context(), "echo", 1); err != nil {
				t.Fatal(err)
			}
			h.Say("a")
			h.Srv.Conns()[0].SendRaw(phoenixtest.OpText, []byte("no message"))
			synctest.Wait()
			s.Close()
			<-s.Done()
		}
		type mark struct{}
		var frames, dones int
		between := &phoenix.Trace{
			// As one that has spans: the ctx of the trace behind it is another.
			PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context {
				return context.WithValue(ctx, mark{}, "mine")
			},
			PushDone: func(ctx context.Context, _ phoenix.PushDoneInfo) {
				dones++
				if ctx.Value(mark{}) != "mine" {
					t.Error("a Done without the ctx of its Start")
				}
			},
			ConnectStart: func(context.Context, phoenix.ConnectStartInfo) context.Context { return nil },
			JoinDone: func(ctx context.Context, _ phoenix.JoinDoneInfo) {
				dones++
				_ = ctx.Value(mark{}) // it is not nil, though it has no Start
			},
			FrameIn: func(phoenix.Frame) { frames++ },
		}
		life(alone.trace())
		want := alone.take()
		// It gets the ctxs of the first, in which a tracer does not begin again.
		lastTrace := last.trace()
		lastTrace.ConnectStart, lastTrace.JoinStart, lastTrace.PushStart, lastTrace.CallbackStart = nil, nil, nil, nil
		life(phoenix.MultiTrace(nil, first.trace(), phoenix.MultiTrace(between, nil, &phoenix.Trace{}, lastTrace), nil))
		got := first.take()
		slices.Sort(got) // hooks of different goroutines have no order among them
		slices.Sort(want)
		harness.WantItems(t, "together", got, want...)
		if got := last.take(); len(got) == 0 || frames == 0 || dones != 2 {
			t.Errorf("%q, %d frames, %d dones", got, frames, dones)
		}
	})
}

func TestATraceOfNoneHasNoHooks(t *testing.T) {
	t.Parallel()
	if got := reflect.ValueOf(*phoenix.MultiTrace(nil, &phoenix.Trace{})); !got.IsZero() {
		t.Errorf("%+v", got)
	}
}

// A Start that returns nil is no panic.
func TestAStartThatReturnsNilKeepsItsCtx(t *testing.T) {
	for name, combine := range map[string]func(*phoenix.Trace) *phoenix.Trace{
		"alone":    func(tr *phoenix.Trace) *phoenix.Trace { return tr },
		"together": func(tr *phoenix.Trace) *phoenix.Trace { return phoenix.MultiTrace(tr, tr) },
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var done harness.Recorder[string]
				s := h.Connected(&phoenix.SocketOptions{
					AuthToken: func(ctx context.Context) (string, error) { return "", ctx.Err() },
					Trace: combine(&phoenix.Trace{
						ConnectStart:  func(context.Context, phoenix.ConnectStartInfo) context.Context { return nil },
						ConnectDone:   func(ctx context.Context, _ phoenix.ConnectDoneInfo) { done.Add(fmt.Sprint("connect ", ctx.Err())) },
						JoinStart:     func(context.Context, phoenix.JoinStartInfo) context.Context { return nil },
						JoinDone:      func(ctx context.Context, _ phoenix.JoinDoneInfo) { done.Add("join") },
						PushStart:     func(context.Context, phoenix.PushStartInfo) context.Context { return nil },
						PushDone:      func(ctx context.Context, _ phoenix.PushDoneInfo) { done.Add(fmt.Sprint("push ", ctx.Err())) },
						CallbackStart: func(context.Context, phoenix.CallbackInfo) context.Context { return nil },
						CallbackDone:  func(ctx context.Context, _ phoenix.CallbackInfo) { done.Add(fmt.Sprint("callback ", ctx.Err())) },
					}),
				})
				c := h.Channel(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) { return nil, ctx.Err() }})
				c.On("a", func(*phoenix.Message) {})
				if _, err := c.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Push(t.Context(), "echo", nil); err != nil {
					t.Error(err)
				}
				h.Say("a")
				want := []string{"connect <nil>", "join", "push <nil>", "callback <nil>"}
				if name == "together" {
					want = []string{want[0], want[0], want[1], want[1], want[2], want[2], want[3], want[3]}
				}
				harness.WantItems(t, "dones", done.List(), want...)
			})
		})
	}
}

// wantUnordered is want where several goroutines call the hooks.
func (tr *tracer) wantUnordered(what string, want ...string) {
	tr.t.Helper()
	harness.WantItems(tr.t, what, unordered(tr.take()), unordered(want)...)
}

// unordered puts items in order: hooks of different goroutines have none among them.
func unordered(items []string) []string {
	items = slices.Clone(items)
	slices.Sort(items)
	return items
}

// A callback that ends its goroutine, as t.FailNow does, has a Done, too.
func TestACallbackThatCallsGoexitIsDone(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var told harness.Recorder[string]
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			CallbackStart: func(ctx context.Context, _ phoenix.CallbackInfo) context.Context { told.Add("start"); return ctx },
			CallbackDone:  func(context.Context, phoenix.CallbackInfo) { told.Add("done") },
		}})
		c := h.Joined(s, "room:1", nil)
		c.On("a", func(*phoenix.Message) { told.Add("call"); runtime.Goexit() })
		h.Srv.Broadcast("room:1", "a", nil)
		synctest.Wait()
		if got := told.List(); !slices.Equal(got, []string{"start", "call", "done"}) {
			t.Errorf("%v", got)
		}
	})
}
