package phoenix

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/phxgo/phoenix/internal/roster"
)

// A presenceStep is how a list became another: by one state or diff, or by several
// that a consumer was too slow to see one by one. What a consumer has to be told
// is found by comparing the two.
type presenceStep[M any] struct {
	from, to presenceList[M]
	event    string // that of the last message
	resync   bool   // a state was among them
	synced   bool   // the list is in sync after it
	size     int    // of the messages, in bytes
	handlers []*presenceHandler[M]
}

// changes returns what changed, in the order of the keys, those that left last.
func (st *presenceStep[M]) changes() []PresenceChange[M] {
	return roster.Changes(st.from, st.to, st.resync)
}

// add makes one step of two, the second of which follows the first.
func (st *presenceStep[M]) add(next presenceStep[M]) {
	st.to, st.event, st.synced = next.to, next.event, next.synced
	st.resync = st.resync || next.resync
}

// step decodes and applies the next state or diff.
func (p *Presence[M]) step() bool {
	s := p.socket
	s.mu.Lock()
	in, ok := p.feed.take()
	list := p.list
	s.mu.Unlock()
	switch {
	case !ok:
		return false
	case in.msg == nil:
		s.lock()
		defer s.unlock()
		p.feed.finish()
		return true
	}
	done := false
	defer func() {
		if !done { // the user's code ended the goroutine
			s.lock()
			defer s.unlock()
			switch {
			case in.state:
				p.feed.unstate(in)
			case in.gen == p.feed.gen:
				p.feed.outdated()
			}
		}
	}()
	st := presenceStep[M]{from: list, to: list, event: in.msg.Event, resync: in.state, size: in.size}
	if in.state {
		if ok = p.applyState(&st, in.msg); ok {
			for _, early := range in.early {
				p.applyDiff(&st, early)
			}
		}
	} else {
		ok = p.applyDiff(&st, in.msg)
	}
	done = true
	s.lock()
	defer s.unlock()
	switch {
	case p.feed.over: // Close was called meanwhile
	case ok:
		p.publish(st, in)
	case in.state:
		p.feed.unstate(in)
	}
	return true
}

// publish makes the result of a step the list, and tells who wants to know.
func (p *Presence[M]) publish(st presenceStep[M], in presenceInput) {
	f := &p.feed
	if in.state {
		f.shown = in.gen
	} else if st.from.Same(st.to) {
		return // nothing new
	}
	p.list = st.to
	st.synced = f.status() == PresenceSynced
	if !st.from.Same(st.to) {
		for _, w := range p.streams {
			w.put(st)
		}
	}
	if !f.hushed {
		p.callbacks.put(p, st)
	}
	f.wake()
}

// applyState applies a state, if it is one.
func (p *Presence[M]) applyState(st *presenceStep[M], m *Message) bool {
	d := p.decoder()
	state, err := d.State(m.Payload.Bytes())
	if m.Payload.binary {
		err = errPresenceBinary
	}
	if err == nil {
		st.to = roster.WithState(st.to, state)
	}
	p.report(d, m, err)
	return err == nil
}

// applyDiff applies a diff, if it is one.
func (p *Presence[M]) applyDiff(st *presenceStep[M], m *Message) bool {
	d := p.decoder()
	joins, leaves, err := d.Diff(m.Payload.Bytes())
	if m.Payload.binary {
		err = errPresenceBinary
	}
	if err == nil {
		st.to = roster.WithDiff(st.to, joins, leaves)
	}
	p.report(d, m, err)
	return err == nil
}

func (p *Presence[M]) decoder() *presenceDecoder[M] {
	codec := &p.socket.set.codec
	return &presenceDecoder[M]{
		Unmarshal: codec.unmarshal,
		Fields:    func(text []byte) Payload { return Payload{data: text, codec: codec} },
	}
}

// report reports what was not understood.
func (p *Presence[M]) report(d *presenceDecoder[M], m *Message, err error) {
	s := p.socket
	pe := complaint(d, m, err)
	if pe == nil && d.Misfits > 0 {
		s.mu.Lock()
		if !p.misfit {
			pe = misfitting(d, m)
		}
		p.misfit = true
		s.mu.Unlock()
	}
	if pe == nil {
		return
	}
	if tr := s.set.Trace; tr != nil && tr.ProtocolError != nil {
		tr.ProtocolError(pe)
	}
	s.lock()
	defer s.unlock()
	s.reportProtocol(pe)
}

var errPresenceBinary = errors.New("binary data where a JSON object belongs")

// misfitting returns what is to be reported about metas that are no M.
func misfitting[M any](d *presenceDecoder[M], m *Message) *ProtocolError {
	return &ProtocolError{ // without the error, which may quote a meta
		Topic: m.Topic, Event: m.Event, Size: len(m.Payload.Bytes()),
		Reason: fmt.Sprintf("%d of its metas do not fit a %v: see PresenceMeta.Err", d.Misfits, reflect.TypeFor[M]()),
	}
}

// complaint returns what is to be reported about the payload; nil: nothing.
func complaint[M any](d *presenceDecoder[M], m *Message, err error) *ProtocolError {
	pe := &ProtocolError{Topic: m.Topic, Event: m.Event, Size: len(m.Payload.Bytes()), Binary: m.Payload.binary}
	switch {
	case err != nil:
		pe.Reason = err.Error()
	case d.Skipped > 0:
		pe.Reason = fmt.Sprintf("%d of its parts skipped; the first: %s", d.Skipped, d.Reason)
	default:
		return nil
	}
	return pe
}
