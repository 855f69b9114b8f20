package phoenix_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Random operations on a socket, with faults of the server and the network in
// between. What must hold whatever happens is in operations_check_test.go.

// A way is what the operations go over.
type way struct {
	serializer phoenix.Serializer
	transport  phoenix.Transport
	polls      bool
	falls      bool // back
}

func ways() map[string]way {
	return map[string]way{
		"websocket":   {phoenix.V2(), phoenix.WebSocket(nil), false, false},
		"longpoll":    {phoenix.V2(), phoenix.LongPoll(nil), true, false},
		"fallback":    {phoenix.V2(), phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil), false, true},
		"v1":          {phoenix.V1(), phoenix.WebSocket(nil), false, false},
		"v1 longpoll": {phoenix.V1(), phoenix.LongPoll(nil), true, false},
	}
}

func TestRandomOperations(t *testing.T) {
	t.Parallel()
	seeds := map[string]int{"websocket": 150, "longpoll": 150, "fallback": 100, "v1": 30, "v1 longpoll": 30}
	for name := range ways() {
		n := seeds[name]
		if testing.Short() {
			n /= 10
		}
		for seed := range n {
			t.Run(name+" "+strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				runOperations(t, ways()[name], randomOperations(uint64(seed)))
			})
		}
	}
}

func FuzzOperations(f *testing.F) {
	for seed := range 10 {
		f.Add(randomOperations(uint64(1000 + seed)))
	}
	// Leave, disconnect and close on top of pushes in every state.
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 0, 5, 0, 1, 0, 2, 0, 3, 0, 7, 0, 0, 0, 8, 0, 1, 0, 9, 0, 18, 0})
	// A stall, with pushes that are given up, until the connection is.
	f.Add([]byte{0, 0, 12, 0, 1, 3, 2, 7, 3, 1, 2, 9, 13, 0, 10, 255, 1, 1, 7, 0, 10, 255, 0, 0, 10, 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			t.Skip("too long")
		}
		for _, way := range ways() {
			runOperations(t, way, data)
		}
	})
}

// randomOperations returns operations of two bytes each: what, and with which
// argument.
func randomOperations(seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, 160)
	_, _ = rand.NewChaCha8(key).Read(data) // it never fails
	return data
}

// A world is a socket with three topics, and all that was done to them.
type world struct {
	h      *harness
	s      *phoenix.Socket
	ctx    context.Context // of all calls
	topics []*phoenix.Channel
	closed bool
	down   bool
	falls  bool         // the transport falls back
	open   atomic.Int64 // calls that have not returned

	mode   atomic.Int32 // what joins do
	pushes []*pushed
	asyncs []*phoenix.Push
}

// A pushed is a push and what became of it.
type pushed struct {
	id       int
	topic    string
	event    string
	cast     bool
	traced   atomic.Int32 // how often the trace saw its end
	outcomes atomic.Int32
	reply    *phoenix.Reply
	err      error
}

type pushKey struct{}

func runOperations(t *testing.T, way way, data []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &phoenixtest.Options{BufferSize: 600, FrameLog: 50_000})
		h.polls = way.polls
		w := &world{h: h, ctx: t.Context(), falls: way.falls}
		h.srv.Handle("op:*", w.application())
		w.s = h.connected(&phoenix.SocketOptions{
			Serializer:       way.serializer,
			Transport:        way.transport,
			WriteTimeout:     3 * time.Second,
			MaxQueue:         4000,
			ReconnectBackoff: phoenix.Steps(100*time.Millisecond, time.Second),
			RejoinBackoff:    phoenix.Steps(200*time.Millisecond, time.Second),
			Trace: &phoenix.Trace{PushDone: func(ctx context.Context, _ phoenix.PushDoneInfo) {
				if p, ok := ctx.Value(pushKey{}).(*pushed); ok {
					p.traced.Add(1)
				}
			}},
		})
		for i := range 3 {
			w.topics = append(w.topics, h.channel(w.s, fmt.Sprintf("op:%d", i), &phoenix.ChannelOptions{MaxBuffer: 20}))
		}
		w.joinAll()
		for len(data) >= 2 {
			w.do(int(data[0]), int(data[1]))
			data = data[2:]
		}
		w.finish(t)
		w.check(t)
	})
}

// application is what the topics do on the server.
func (w *world) application() phoenixtest.Channel {
	app := roomChannel()
	app.Join = func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
		switch w.mode.Load() {
		case 1:
			return phoenixtest.Error(map[string]string{"reason": "refused"})
		case 2:
			return phoenixtest.Crash()
		case 3:
			c.Sleep(1500 * time.Millisecond)
		case 4:
			c.Sleep(12 * time.Second)
		}
		return phoenixtest.OK(nil)
	}
	return app
}

// call runs something that returns when its time comes.
func (w *world) call(f func()) {
	w.open.Add(1)
	go func() {
		defer w.open.Add(-1)
		f()
	}()
	synctest.Wait()
}

// within returns a ctx for a call: with a deadline, short or long, or without.
func (w *world) within(arg int) (context.Context, context.CancelFunc) {
	switch arg % 4 {
	case 0:
		return context.WithTimeout(w.ctx, 30*time.Millisecond)
	case 1:
		return context.WithTimeout(w.ctx, 15*time.Second)
	}
	return context.WithCancel(w.ctx)
}

// joinAll joins what is not joined.
func (w *world) joinAll() {
	for _, c := range w.topics {
		w.call(func() {
			ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
			defer cancel()
			_, _ = c.Join(ctx)
		})
	}
}

// do makes one operation.
func (w *world) do(op, arg int) {
	c := w.topics[arg%3]
	arg /= 3
	switch op % 20 {
	case 14:
		w.joinAll()
	case 0:
		w.call(func() {
			ctx, cancel := w.within(arg)
			defer cancel()
			_, _ = c.Join(ctx)
		})
	case 1:
		p := w.newPush(c, arg, false)
		w.call(func() {
			ctx, cancel := w.within(arg)
			defer cancel()
			p.reply, p.err = c.Push(context.WithValue(ctx, pushKey{}, p), p.event, p.payload(arg))
			p.outcomes.Add(1)
		})
	case 2, 15, 16:
		p := w.newPush(c, arg, false)
		ctx, cancel := w.within(arg)
		async := c.PushAsync(context.WithValue(ctx, pushKey{}, p), p.event, p.payload(arg))
		w.asyncs = append(w.asyncs, async)
		w.call(func() {
			defer cancel()
			p.reply, p.err = async.Wait(context.Background())
			p.outcomes.Add(1)
		})
	case 3, 17:
		p := w.newPush(c, arg, true)
		p.err = c.Cast(context.WithValue(w.ctx, pushKey{}, p), p.event, p.payload(arg))
		p.outcomes.Add(1)
	case 4:
		for _, conn := range w.h.srv.Conns() {
			conn.Cut()
		}
	case 5:
		for _, conn := range w.h.srv.Conns() {
			if proc, ok := conn.Channel(c.Topic()); ok {
				proc.Exit([]phoenixtest.Reply{phoenixtest.Crash(), phoenixtest.Stop()}[arg%2])
			}
		}
	case 6:
		w.mode.Store(int32(arg % 5))
		w.blockWebSockets(arg / 5 % 4)
	case 7:
		w.call(func() {
			ctx, cancel := w.within(arg)
			defer cancel()
			_ = c.Leave(ctx)
		})
	case 8:
		if arg%3 > 0 {
			return // it would be rather often
		}
		w.call(func() {
			ctx, cancel := context.WithTimeout(w.ctx, time.Second)
			defer cancel()
			_ = w.s.Disconnect(ctx)
		})
	case 9, 19:
		w.call(func() {
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
			defer cancel()
			_ = w.s.Connect(ctx)
		})
	case 10:
		time.Sleep(time.Duration(arg*arg) * time.Millisecond)
	case 11:
		if w.down = !w.down; w.down {
			w.h.srv.Down()
		} else {
			w.h.srv.Up()
		}
	case 12:
		for _, conn := range w.h.srv.Conns() {
			if arg%2 == 0 {
				conn.Stall()
			} else {
				conn.Resume()
			}
		}
	case 13:
		if n := len(w.asyncs); n > 0 {
			w.asyncs[arg%n].Cancel()
		}
	case 18:
		if arg == 0 {
			_ = w.s.Close()
			w.closed = true
			return
		}
		w.call(func() {
			ctx, cancel := w.within(arg)
			defer cancel()
			_ = w.s.Reconnect(ctx)
		})
	}
}

// blockWebSockets has a proxy let no WebSocket pass, in one of three ways, or all.
// Only one who falls back gets through then.
func (w *world) blockWebSockets(how int) {
	if !w.falls {
		return
	}
	w.h.srv.BlockUpgrade(how == 1)
	w.h.srv.HangUpgrades(how == 2)
	w.h.srv.SwallowFrames(how == 3)
}

func (w *world) newPush(c *phoenix.Channel, arg int, cast bool) *pushed {
	p := &pushed{
		id: len(w.pushes), topic: c.Topic(), cast: cast,
		event: []string{"echo", "echo", "echo", "silent", "err", "shout", "crash", "stop"}[arg/4%8],
	}
	w.pushes = append(w.pushes, p)
	return p
}

// payload is the number of the push, with some padding.
func (p *pushed) payload(arg int) any {
	return []any{p.id, string(make([]byte, arg*arg%997))}
}

// finish makes the world a better place, in which what is to be joined has to
// be joined, and then ends it.
func (w *world) finish(t *testing.T) {
	t.Helper()
	w.mode.Store(0)
	w.blockWebSockets(0)
	w.h.srv.Up()
	for _, conn := range w.h.srv.Conns() {
		conn.Resume()
	}
	if !w.closed {
		if err := w.s.Connect(w.ctx); err != nil {
			t.Errorf("Connect = %v", err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, c := range w.topics {
			st := c.State()
			if st != phoenix.ChannelJoined && st != phoenix.ChannelClosed {
				t.Errorf("%s is %v at the end", c.Topic(), st)
			}
			_, err := c.Push(w.ctx, "echo", []any{-1, ""})
			if want := st == phoenix.ChannelJoined; (err == nil) != want {
				t.Errorf("Push to %s, which is %v = %v", c.Topic(), st, err)
			}
			if err != nil && !errors.Is(err, phoenix.ErrNotJoined) {
				t.Errorf("Push to %s = %v", c.Topic(), err)
			}
		}
	}
	_ = w.s.Close()
	<-w.s.Done()
	synctest.Wait()
	if n := w.open.Load(); n > 0 {
		t.Errorf("%d calls have not returned", n)
	}
	if st := w.s.Stats(); st.InFlight != 0 || st.Queued != 0 || st.QueuedBytes != 0 || st.Parked != 0 || st.Joined != 0 {
		t.Errorf("left behind: %+v", st)
	}
}
