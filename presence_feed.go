package phoenix

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/phxgo/phoenix/internal/queue"
)

// A presenceFeed is what a channel gives to a Presence: states and diffs, in the
// order in which they come, for a worker that takes them.
//
// A diff does not tell which join it belongs to, but its place among the joins
// does. Diffs wait for the state of the join that they came after, which they may
// precede; the worker gets them together with it. A generation is the time from
// one loss of the channel to the next: only after the state of the present one is
// the list in sync.
//
// It is guarded by the socket's lock, and its methods are called under it.
type presenceFeed struct {
	channel    *Channel
	owner      presenceOwner
	stateEvent string
	diffEvent  string

	ready   queue.Queue[presenceInput] // for the worker
	pending queue.Queue[*Message]      // diffs that wait for the state of the generation
	backlog backlog                    // of what is ready
	working bool                       // the worker is there
	hushed  bool                       // no callback begins any more
	gen     uint64
	stated  bool   // the state of the generation came
	shown   uint64 // the generation of the last state that was applied; 0: none
	err     error  // why it has ended
	over    bool   // the worker has seen the end

	stateDue deadline // diffs have waited for so long that it is worth a warning
	warned   bool
	dropping bool            // a drop was logged, and nothing was taken since
	watchers []chan struct{} // of one slot, for those who wait for any change
}

// A presenceOwner is the Presence, whose metas have a type.
type presenceOwner interface {
	// step takes an input; it returns false if there is none. It runs without
	// the lock, on a goroutine for code of the user's.
	step() bool
	// hush makes sure that no callback begins any more.
	hush()
	// finish is called when nothing more will come.
	finish()
}

// A presenceInput is a state or a diff for the worker, or the end.
type presenceInput struct {
	msg   *Message // nil: the end
	size  int      // in the queue, with those that came before
	state bool
	gen   uint64
	early []*Message // diffs that came before the state
}

// presenceWait is how long diffs wait for a state before there is a warning.
const presenceWait = 10 * time.Second

// attach begins to feed the owner.
func (f *presenceFeed) attach() {
	c := f.channel
	f.gen = 1
	f.stateDue.fire = f.warn
	c.presences = append(c.presences, f)
	c.stray()
}

func (f *presenceFeed) status() PresenceStatus {
	switch {
	case f.err != nil:
		return PresenceClosed
	case f.shown == f.gen:
		return PresenceSynced
	case f.shown == 0:
		return PresenceAwaiting
	}
	return PresenceStale
}

// put takes a message, if it is one for the presence, and reports whether it
// uses its memory.
func (f *presenceFeed) put(m *Message) (kept bool) {
	switch m.Event {
	case f.stateEvent:
		size := m.size()
		if f.ready.Full(size) {
			f.overrun(0)
		}
		m, kept = f.own(m)
		in := presenceInput{msg: m, state: true, size: size, gen: f.gen}
		if !f.stated {
			f.stated = true
			f.channel.socket.timers.stop(&f.stateDue)
			in.size += f.pending.Bytes
			in.early = f.takePending()
		}
		f.push(in)
		return kept
	case f.diffEvent:
		if !f.stated {
			f.hold(m)
			return false
		}
		size := m.size()
		if f.ready.Full(size) {
			f.overrun(1)
			return false
		}
		m, kept = f.own(m)
		f.push(presenceInput{msg: m, size: size, gen: f.gen})
		return kept
	}
	return false
}

func (f *presenceFeed) own(m *Message) (own *Message, shared bool) {
	return f.backlog.own(f.channel.socket, m, f.ready.N)
}

// takePending takes the diffs that wait for a state.
func (f *presenceFeed) takePending() (early []*Message) {
	for {
		m, missing, ok := f.pending.Pop()
		switch {
		case !ok:
			return early
		case missing == nil:
			early = append(early, m)
		}
	}
}

func (f *presenceFeed) push(in presenceInput) {
	s := f.channel.socket
	f.ready.Push(in, in.size)
	s.queued(in.size, f.ready.N)
	if !f.working {
		f.working = true
		s.goSteps(f.owner.step)
	}
}

// hold keeps a copy of a diff that came before its state. It may wait for long, and
// must not hold its neighbours in memory. The latest are those that count: the
// older a diff is, the surer it is in the state.
func (f *presenceFeed) hold(m *Message) {
	s := f.channel.socket
	held := *m
	held.Payload.data = bytes.Clone(m.Payload.data)
	f.dropped(f.pending.PushOver(&held, m.size()))
	if f.stateDue.index == 0 && !f.warned {
		s.timers.set(&f.stateDue, s.now()+presenceWait)
	}
}

// warn tells that diffs wait for a state that does not come.
func (f *presenceFeed) warn() {
	f.warned = true
	f.channel.socket.log(slog.LevelWarn, "presence: diffs came but no state: does the server push it after the join?",
		slog.String("topic", f.channel.topic), slog.String("event", f.stateEvent), slog.Int("pending", f.pending.N))
}

// overrun is called when the worker is too slow, so that all that is ready is
// dropped, and n messages more: without one diff the others are worth nothing,
// until the next state. What waits for that state still does.
func (f *presenceFeed) overrun(n int) {
	n += f.ready.N
	for i := range f.ready.Items.N {
		n += len(f.ready.Items.At(i).Value.early)
	}
	f.dropped(n)
	f.ready.Clear()
	f.outdated()
}

func (f *presenceFeed) dropped(n int) {
	if n == 0 {
		return
	}
	s := f.channel.socket
	s.countDropped(f.channel.topic, n)
	if !f.dropping {
		f.dropping = true
		s.log(slog.LevelWarn, "presence: too many diffs wait: some dropped", slog.String("topic", f.channel.topic))
	}
}

// lost is called when the channel is lost: diffs that wait belong to a join that is
// over.
func (f *presenceFeed) lost() {
	f.pending.Clear()
	f.channel.socket.timers.stop(&f.stateDue)
	f.outdated()
}

// outdated is called when the list is no longer what the server has, until the
// next state.
func (f *presenceFeed) outdated() {
	f.gen++
	f.stated = false
	f.wake()
}

// take takes the next input, if there is one; else the worker ends.
func (f *presenceFeed) take() (in presenceInput, ok bool) {
	in, _, ok = f.ready.Pop()
	f.working = ok
	f.dropping = f.dropping && ok
	return in, ok
}

// unstate is called when a state turns out to be none, or cannot be had. The diffs
// around it wait for the next one; if its join is over, none will come.
func (f *presenceFeed) unstate(in presenceInput) {
	if f.shown == in.gen {
		return // the join has had another
	}
	early := in.early
	for f.ready.N > 0 && f.ready.Items.At(0).Value.gen == in.gen {
		next := &f.ready.Items.At(0).Value
		if next.state {
			next.early = early
			return
		}
		early = append(early, next.msg)
		_, _, _ = f.ready.Pop() // which is next
	}
	if f.err != nil || in.gen != f.gen {
		return
	}
	f.stated = false
	for _, m := range early {
		f.hold(m)
	}
}

// end ends the feed. What is ready is still taken.
func (f *presenceFeed) end(why error) {
	f.detach(why)
	f.push(presenceInput{})
}

// cut ends the feed and drops what is ready.
func (f *presenceFeed) cut(why error) {
	if f.err == nil {
		f.detach(why)
	}
	f.ready.Clear()
	f.finish()
}

func (f *presenceFeed) detach(why error) {
	c := f.channel
	f.err = why
	f.pending.Clear()
	c.socket.timers.stop(&f.stateDue)
	// A copy: whoever ended it may be ranging over them.
	c.presences = slices.DeleteFunc(slices.Clone(c.presences), func(x *presenceFeed) bool { return x == f })
	c.unstray()
	f.hush()
	f.wake()
}

// hush makes sure that no callback begins any more.
func (f *presenceFeed) hush() {
	f.hushed = true
	f.owner.hush()
}

// finish is called when the worker, if any, has nothing more to say.
func (f *presenceFeed) finish() {
	if f.over {
		return
	}
	f.over = true
	f.owner.finish()
	f.wake()
}

// watch returns a channel that gets something whenever the list or the status has
// changed.
func (f *presenceFeed) watch() chan struct{} {
	w := make(chan struct{}, 1)
	f.watchers = append(f.watchers, w)
	return w
}

func (f *presenceFeed) unwatch(w chan struct{}) {
	f.watchers = slices.DeleteFunc(f.watchers, func(x chan struct{}) bool { return x == w })
}

func (f *presenceFeed) wake() {
	for _, w := range f.watchers {
		wake(w)
	}
}

// wake fills the slot of a channel that somebody waits for.
func wake(w chan struct{}) {
	select {
	case w <- struct{}{}:
	default:
	}
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

// presenceText returns the JSON text of a payload. That it is valid, the reader of
// the socket has made sure.
func presenceText(m *Message) ([]byte, error) {
	if m.Payload.binary {
		return nil, errPresenceBinary
	}
	return m.Payload.Bytes(), nil
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
	var reason string
	switch {
	case err != nil:
		reason = err.Error()
	case d.Skipped > 0:
		reason = fmt.Sprintf("%d of its parts skipped; the first: %s", d.Skipped, d.Reason)
	default:
		return nil
	}
	return &ProtocolError{Topic: m.Topic, Event: m.Event, Size: len(m.Payload.Bytes()), Binary: m.Payload.binary, Reason: reason}
}
