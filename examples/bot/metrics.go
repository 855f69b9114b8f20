package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"net/http"
	"time"

	"github.com/phxgo/phoenix"
)

// metrics count what happens to a socket. They are an http.Handler: /debug/vars, as
// package expvar serves it, but for the command line. A program that has one socket
// and no secrets there can call expvar.Publish instead, once for each name.
type metrics struct {
	vars expvar.Map
	took expvar.Map // pushes by the time that their replies took
}

func newMetrics() *metrics {
	m := &metrics{}
	m.vars.Init()
	m.took.Init()
	m.vars.Set("push_time", &m.took)
	return m
}

func (m *metrics) add(name string, n int64) { m.vars.Add(name, n) }

// watch shows what the socket has now.
func (m *metrics) watch(socket *phoenix.Socket) {
	m.vars.Set("socket", expvar.Func(func() any {
		st := socket.Stats()
		return map[string]any{
			"state": st.State.String(), "joined": st.Joined,
			"in_flight": st.InFlight, "queued": st.Queued, "parked": st.Parked,
			"rtt_us": st.RTT.Microseconds(),
		}
	}))
}

type startKey struct{}

// trace returns the hooks. They do nothing but count: the network waits for them.
func (m *metrics) trace() *phoenix.Trace {
	return &phoenix.Trace{
		ConnectDone: func(_ context.Context, info phoenix.ConnectDoneInfo) { m.outcome("connects", info.Err) },
		JoinDone: func(_ context.Context, info phoenix.JoinDoneInfo) {
			if info.Rejoin {
				m.outcome("rejoins", info.Err)
			} else {
				m.outcome("joins", info.Err)
			}
		},
		PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context {
			return context.WithValue(ctx, startKey{}, time.Now())
		},
		PushDone: func(ctx context.Context, info phoenix.PushDoneInfo) {
			m.outcome("pushes", info.Err)
			if start, ok := ctx.Value(startKey{}).(time.Time); ok && info.Reply != nil {
				m.took.Add(bucket(time.Since(start)), 1)
			}
		},
		Disconnected:  func(error) { m.add("disconnects", 1) },
		Heartbeat:     func(time.Duration) { m.add("heartbeats", 1) },
		FrameIn:       func(f phoenix.Frame) { m.add("frames_in", 1); m.add("bytes_in", int64(len(f.Data))) },
		FrameOut:      func(f phoenix.Frame) { m.add("frames_out", 1); m.add("bytes_out", int64(len(f.Data))) },
		Dropped:       func(_ string, n int) { m.add("dropped", int64(n)) },
		ProtocolError: func(*phoenix.ProtocolError) { m.add("protocol_errors", 1) },
	}
}

// outcome counts how something has ended.
func (m *metrics) outcome(what string, err error) {
	var refused *phoenix.ReplyError
	var handshake *phoenix.HandshakeError
	switch {
	case err == nil:
		what += "_ok"
	case errors.As(err, &refused), errors.As(err, &handshake):
		what += "_refused"
	case errors.Is(err, context.DeadlineExceeded): // and so ErrTimeout
		what += "_timed_out"
	default:
		what += "_failed"
	}
	m.add(what, 1)
}

// bucket returns the name of a bucket of durations, each ten times the one before.
func bucket(d time.Duration) string {
	for limit := time.Millisecond; limit <= 10*time.Second; limit *= 10 {
		if d <= limit {
			return "le_" + limit.String()
		}
	}
	return "more"
}

func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, "{\n%q: %s", "phoenix", m.vars.String())
	expvar.Do(func(kv expvar.KeyValue) { // memstats, and what others have published
		if kv.Key != "cmdline" { // where the token may be
			fmt.Fprintf(w, ",\n%q: %s", kv.Key, kv.Value)
		}
	})
	fmt.Fprintf(w, "\n}\n")
}
