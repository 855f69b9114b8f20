package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A way is what a world goes over.
type way struct {
	name       string
	serializer phoenix.Serializer
	transport  func(pollTimeout time.Duration) phoenix.Transport
	forms      int // of payloads
	falls      bool
	polls      bool
}

func ways() []way {
	ws := func(time.Duration) phoenix.Transport { return phoenix.WebSocket(nil) }
	lp := func(d time.Duration) phoenix.Transport { return phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: d}) }
	fb := func(d time.Duration) phoenix.Transport { return phoenix.Fallback(ws(d), lp(d), nil) }
	return []way{
		{name: "websocket", serializer: phoenix.V2(), transport: ws, forms: int(forms)},
		{name: "longpoll", serializer: phoenix.V2(), transport: lp, forms: int(forms), polls: true},
		{name: "fallback", serializer: phoenix.V2(), transport: fb, forms: int(forms), falls: true},
		{name: "v1", serializer: phoenix.V1(), transport: ws, forms: int(formBinary)},
		{name: "v1 longpoll", serializer: phoenix.V1(), transport: lp, forms: int(formBinary), polls: true},
	}
}

// A plan says what a world is to be.
type plan struct {
	way    way
	seed   uint64
	many   int // goroutines that push; 0: the one that does everything
	pushes int
	tcp    bool
	src    source // of operations
}

func (p plan) String() string {
	callers := "one goroutine"
	if p.many > 0 {
		callers = fmt.Sprintf("%d goroutines", p.many)
	}
	return fmt.Sprintf("%s, %s, seed %d", p.way.name, callers, p.seed)
}

const topics = 3

// A world is a socket with three topics, and all that was done to them.
type world struct {
	plan
	*ledger
	tb     testing.TB
	log    oplog
	unit   time.Duration // that short things take
	ctx    context.Context
	traces bool

	srv      *phoenixtest.Server
	net      *cutter
	http     *http.Transport
	socket   *phoenix.Socket
	channels []*phoenix.Channel
	feeds    []*feed

	open     sync.WaitGroup // calls
	joinMode atomic.Int32
	faults   atomic.Int64
	heard    atomic.Int64
	rejoins  atomic.Int64

	mu        sync.Mutex
	consumers []*consumer
	asyncs    []async
	timers    []*time.Timer
}

type async struct {
	p    *push
	push *phoenix.Push
}

// run makes a world and lets everything happen to it. It returns the figures.
func run(tb *testing.T, p plan) figures {
	tb.Helper()
	w := &world{plan: p, ledger: &ledger{salt: p.seed, ascii: p.way.polls || p.way.falls, arrivals: map[stream][]arrival{}}, tb: tb, unit: time.Millisecond}
	defer func() {
		if r := recover(); r != nil {
			// A bubble that cannot end: a goroutine is left, or everybody waits.
			tb.Fatalf("%v: %v\n%s", p, r, w.tail())
		}
	}()
	if p.tcp {
		w.unit = 20 * time.Microsecond
		before := runtime.NumGoroutine()
		w.live(tb)
		w.until(5*time.Second, func() bool { return runtime.NumGoroutine() <= before })
		if n := runtime.NumGoroutine(); n > before {
			buf := make([]byte, 1<<20)
			tb.Errorf("%v: %d goroutines before, %d after:\n%s", p, before, n, buf[:runtime.Stack(buf, true)])
		}
	} else {
		synctest.Test(tb, w.live)
	}
	return w.figures()
}

// live is the life of a world.
func (w *world) live(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx, w.log.start = ctx, time.Now()
	w.create(t)
	if w.many > 0 {
		w.driveMany()
	} else {
		w.driveOne()
	}
	w.end()
	cancel()
	for _, c := range w.consumers {
		<-c.done
	}
	w.http.CloseIdleConnections()
	if err := w.srv.Close(); err != nil {
		w.report("Close of the server: %v", err)
	}
	if len(w.problems) > 0 {
		t.Errorf("%v: %d problems:\n  %s\n%s", w.plan, w.problemN, strings.Join(w.problems, "\n  "), w.tail())
	}
}

// tail is what a failure shows.
func (w *world) tail() string {
	again := fmt.Sprintf("go test ./internal/chaos -run 'TestChaos$' -chaos.seed=%d -chaos.pushes=1", w.seed)
	if w.tcp {
		again = fmt.Sprintf("go test ./internal/chaos -run 'TestChaosOverTCP$' -chaos.seed=%d", w.seed)
	}
	return fmt.Sprintf("again: %s\nthe last operations:\n%s", again, &w.log)
}

func (w *world) create(t *testing.T) {
	opts := &phoenixtest.Options{BufferSize: 600, FrameLog: 40 * w.pushes, Seed: w.seed}
	src := newSeeded(w.seed, 1)
	if chance(src, 2) {
		opts.BufferSize = 64 << 10
	}
	pollTimeout := time.Duration(0) // the default
	if w.tcp {
		opts.Network, opts.BufferSize = phoenixtest.TCP, 4096
		opts.LongPollWindow, pollTimeout = 50*time.Millisecond, 100*time.Millisecond
	}
	srv, err := phoenixtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	w.srv = srv
	srv.Intercept(w.see)
	srv.Handle("*", w.application())
	if d := within(src, 20*w.unit); chance(src, 2) {
		srv.Delay(d/2, d)
	}
	w.net = &cutter{dial: srv.DialContext, conns: map[*cutConn]bool{}}
	w.http = &http.Transport{DialContext: w.net.dialContext}
	so := &phoenix.SocketOptions{
		Serializer: w.way.serializer, Transport: w.way.transport(pollTimeout), HTTPClient: &http.Client{Transport: w.http},
		Timeout: 10_000 * w.unit, WriteTimeout: 3000 * w.unit, MaxQueue: []int{0, 4000}[src.pick(2)],
		ReconnectBackoff: phoenix.Steps(100*w.unit, 1000*w.unit), RejoinBackoff: phoenix.Steps(200*w.unit, 1000*w.unit),
	}
	if w.traces = chance(src, 2); w.traces {
		so.Trace = &phoenix.Trace{PushDone: func(ctx context.Context, info phoenix.PushDoneInfo) {
			if p, ok := ctx.Value(pushKey{}).(*push); ok {
				w.traced(p, info.Err)
			}
		}}
	}
	if w.tcp {
		so.Timeout, so.WriteTimeout = 100*time.Millisecond, 50*time.Millisecond
		so.HeartbeatInterval, so.HeartbeatTimeout = 50*time.Millisecond, 50*time.Millisecond
	}
	if w.socket, err = phoenix.NewSocket(srv.URL(), so); err != nil {
		t.Fatal(err)
	}
	for i := range topics {
		topic := fmt.Sprintf("topic:%d", i)
		ch, err := w.socket.Channel(topic, &phoenix.ChannelOptions{MaxBuffer: 50})
		if err != nil {
			t.Fatal(err)
		}
		w.channels = append(w.channels, ch)
		w.feeds = append(w.feeds, &feed{topic: topic, seed: w.seed})
		w.listen(i)
		w.subscribe(src, i, false)
	}
	w.watch()
	w.heal()
	w.settle()
}

// watch logs what the socket does.
func (w *world) watch() {
	events := w.socket.Events(w.ctx)
	go func() {
		for ev := range events {
			w.log.add("socket: %v %v", ev.State, ev.Err)
		}
	}()
}

type pushKey struct{}

// application is what the topics do on the server.
func (w *world) application() phoenixtest.Channel {
	type ctx = phoenixtest.Context
	type payload = phoenixtest.Payload
	return phoenixtest.Channel{
		Join: func(c *ctx, _ payload) phoenixtest.Reply {
			switch w.joinMode.Load() {
			case 1:
				return phoenixtest.Error(map[string]string{"reason": "refused"})
			case 2:
				return phoenixtest.Crash()
			case 3:
				c.Sleep(1500 * w.unit)
			case 4:
				c.Sleep(12_000 * w.unit)
			}
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"echo":   func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.OK(p) },
			"err":    func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.Error(p) },
			"silent": func(*ctx, payload) phoenixtest.Reply { return phoenixtest.NoReply() },
			"crash":  func(*ctx, payload) phoenixtest.Reply { return phoenixtest.Crash() },
			"stop":   func(*ctx, payload) phoenixtest.Reply { return phoenixtest.Stop() },
			"slow": func(c *ctx, p payload) phoenixtest.Reply {
				c.Sleep(5 * w.unit)
				return phoenixtest.OK(nil)
			},
		},
	}
}

// settle waits until nothing moves, where that can be known.
func (w *world) settle() {
	if !w.tcp {
		synctest.Wait()
	}
}

func (w *world) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// until waits until something is so, but not for ever.
func (w *world) until(most time.Duration, ok func() bool) {
	step := max(10*w.unit, time.Millisecond)
	for end := time.Now().Add(most); !ok() && time.Now().Before(end); w.sleep(step) {
		if !w.tcp {
			step = min(2*step, time.Second)
		}
	}
}

// call runs something that returns when its time comes.
func (w *world) call(format string, f func(ctx context.Context) error, most time.Duration) {
	w.log.add("%s …", format)
	w.open.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, most)
		defer cancel()
		err := f(ctx)
		w.log.add("%s = %v", format, err)
	})
}

// end makes the world a better place, in which what is to be joined has to be
// joined, and then ends it.
func (w *world) end() {
	w.log.add("the end begins")
	for _, t := range w.timers {
		t.Stop()
	}
	w.repair()
	w.recover() // calls under way may leave and disconnect yet
	w.open.Wait()
	w.recover()
	for i := range w.channels {
		w.sound(i)
	}
	for i, f := range w.feeds {
		f.broadcast(w.srv, 1+i)
	}
	w.checkConsumers()
	_ = w.socket.Close() // always nil
	for _, a := range w.asyncs {
		w.collect(a)
	}
	select {
	case <-w.socket.Done():
	case <-time.After(20 * time.Second):
		w.report("Done is not closed")
	}
	w.open.Wait()
	w.settle()
	w.check(w.socket.Stats(), w.traces)
	w.checkJoinRefs()
}

// sound finds out that a channel works. It may take a few pushes to notice that
// a connection is dead.
func (w *world) sound(topic int) {
	ch := w.channels[topic]
	var err error
	for range 10 {
		var reply *phoenix.Reply
		e := w.enter(&push{producer: -1, topic: ch.Topic(), event: "echo"})
		ctx := context.WithValue(w.ctx, pushKey{}, e)
		reply, err = ch.Push(ctx, e.event, json.RawMessage(w.body(nil, e.id, e.form)))
		w.ended(e, reply, err)
		if err == nil {
			return
		}
		w.recover()
	}
	w.report("%s does not work at the end: %v", ch.Topic(), err)
}

// recover waits until everything is open and joined.
func (w *world) recover() {
	w.until(max(120_000*w.unit, 10*time.Second), func() bool {
		w.heal()
		w.settle()
		return w.healthy()
	})
	if !w.healthy() {
		w.report("not healthy again: the socket is %v, the channels %v, %v, %v", w.socket.State(), w.channels[0].State(), w.channels[1].State(), w.channels[2].State())
	}
}

func (w *world) healthy() bool {
	for _, c := range w.channels {
		if c.State() != phoenix.ChannelJoined {
			return false
		}
	}
	return w.socket.State() == phoenix.SocketOpen
}

// checkConsumers waits for the consumers that still read, and checks what they
// have got.
func (w *world) checkConsumers() {
	told := 0
	for _, c := range w.consumers {
		w.until(max(100_000*w.unit, 10*time.Second), func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.ended() || c.last+c.dropped == c.feed.last()
		})
		c.mu.Lock()
		told += c.told
		c.mu.Unlock()
		if !c.ended() {
			c.checkEnd(c.feed.last())
		}
	}
	if n := w.socket.Stats().Dropped; uint64(told) > n {
		w.report("%d messages were reported as dropped, and %d counted", told, n)
	}
}
