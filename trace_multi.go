package phoenix

import (
	"context"
	"time"
)

// MultiTrace combines several Traces, so that you can use metrics, spans and a
// debugger together. Each hook calls those of the traces in order, and skips nil
// traces and nil hooks.
//
// Each Start hook gets the ctx that the one before it returned, and what it
// starts gets the ctx of the last one. The Done hook of a trace gets the ctx that
// its own Start hook returned, or would have got if it has none. A Start hook
// that returns nil counts as one that returns the ctx that it got.
func MultiTrace(traces ...*Trace) *Trace {
	m := &multiTrace{}
	for _, t := range traces {
		if t != nil {
			m.traces = append(m.traces, *t)
		}
	}
	return &Trace{
		ConnectStart: starts(m, func(t *Trace) startHook[ConnectStartInfo] { return t.ConnectStart }),
		ConnectDone:  dones(m, func(t *Trace) doneHook[ConnectDoneInfo] { return t.ConnectDone }),
		JoinStart:    starts(m, func(t *Trace) startHook[JoinStartInfo] { return t.JoinStart }),
		JoinDone:     dones(m, func(t *Trace) doneHook[JoinDoneInfo] { return t.JoinDone }),
		PushStart:    starts(m, func(t *Trace) startHook[PushStartInfo] { return t.PushStart }),
		PushDone:     dones(m, func(t *Trace) doneHook[PushDoneInfo] { return t.PushDone }),
		CallbackStart: starts(m, func(t *Trace) startHook[CallbackInfo] {
			return t.CallbackStart
		}),
		CallbackDone:  dones(m, func(t *Trace) doneHook[CallbackInfo] { return t.CallbackDone }),
		Disconnected:  each(m, func(t *Trace) func(error) { return t.Disconnected }),
		Heartbeat:     each(m, func(t *Trace) func(time.Duration) { return t.Heartbeat }),
		FrameIn:       each(m, func(t *Trace) func(Frame) { return t.FrameIn }),
		FrameOut:      each(m, func(t *Trace) func(Frame) { return t.FrameOut }),
		Dropped:       m.dropped(),
		ProtocolError: each(m, func(t *Trace) func(*ProtocolError) { return t.ProtocolError }),
	}
}

// A multiTrace is what a MultiTrace consists of. It is also the key under which a
// ctx has the ctxs of each of the traces.
type multiTrace struct{ traces []Trace }

type (
	startHook[I any] func(context.Context, I) context.Context
	doneHook[I any]  func(context.Context, I)
)

// starts makes one Start of many, or nil if there is none.
func starts[I any](m *multiTrace, of func(*Trace) startHook[I]) func(context.Context, I) context.Context {
	hooks := make([]startHook[I], len(m.traces))
	some := false
	for i := range m.traces {
		hooks[i] = of(&m.traces[i])
		some = some || hooks[i] != nil
	}
	if !some {
		return nil
	}
	return func(ctx context.Context, info I) context.Context {
		own := make([]context.Context, len(hooks))
		for i, hook := range hooks {
			if hook != nil {
				ctx = begun(ctx, hook(ctx, info)) //nolint:fatcontext // each hook gets the ctx of the one before
			}
			own[i] = ctx
		}
		return context.WithValue(ctx, m, own)
	}
}

// begun returns the ctx that a Start returned, or the one that it got.
func begun(got, returned context.Context) context.Context {
	if returned == nil {
		return got
	}
	return returned
}

// dones makes one Done of many.
func dones[I any](m *multiTrace, of func(*Trace) doneHook[I]) func(context.Context, I) {
	hooks := make([]doneHook[I], len(m.traces))
	some := false
	for i := range m.traces {
		hooks[i] = of(&m.traces[i])
		some = some || hooks[i] != nil
	}
	if !some {
		return nil
	}
	return func(ctx context.Context, info I) {
		own, _ := ctx.Value(m).([]context.Context)
		for i, hook := range hooks {
			switch {
			case hook == nil:
			case own == nil:
				hook(ctx, info)
			default:
				hook(own[i], info)
			}
		}
	}
}

// each makes one function of many.
func each[A any](m *multiTrace, of func(*Trace) func(A)) func(A) {
	var hooks []func(A)
	for i := range m.traces {
		if hook := of(&m.traces[i]); hook != nil {
			hooks = append(hooks, hook)
		}
	}
	if hooks == nil {
		return nil
	}
	return func(a A) {
		for _, hook := range hooks {
			hook(a)
		}
	}
}

func (m *multiTrace) dropped() func(topic string, n int) {
	type drop struct {
		topic string
		n     int
	}
	all := each(m, func(t *Trace) func(drop) {
		if t.Dropped == nil {
			return nil
		}
		return func(d drop) { t.Dropped(d.topic, d.n) }
	})
	if all == nil {
		return nil
	}
	return func(topic string, n int) { all(drop{topic, n}) }
}
