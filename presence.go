package phoenix

import (
	"context"
	"iter"
	"log/slog"
	"slices"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/roster"
)

// The events with which a server sends presences, by the convention of
// Phoenix.Presence.
const (
	EventPresenceState = "presence_state"
	EventPresenceDiff  = "presence_diff"
)

// PresenceStatus says how far you can rely on the list of a [Presence].
type PresenceStatus int

// The statuses of a presence.
const (
	// PresenceAwaiting: no state has come yet. The list is empty.
	PresenceAwaiting PresenceStatus = iota
	// PresenceSynced: the list is that of the server, except for what is on its
	// way, and for malformed entries, which are reported as a *ProtocolError.
	PresenceSynced
	// PresenceStale: the channel was lost, or diffs were dropped. The list stays
	// as it is until the next state comes.
	PresenceStale
	// PresenceClosed: nothing more comes. What came before a Leave may still
	// change the list; loops over Changes and Snapshots end after that.
	PresenceClosed
)

func (st PresenceStatus) String() string {
	switch st {
	case PresenceAwaiting:
		return "awaiting"
	case PresenceSynced:
		return "synced"
	case PresenceStale:
		return "stale"
	case PresenceClosed:
		return "closed"
	}
	return "unknown"
}

// PresenceOptions configure a [Presence]. The zero value of each field means its
// default. NewPresence copies the struct.
type PresenceOptions struct {
	// StateEvent and DiffEvent are the events that the server sends. They must
	// differ. Default: EventPresenceState and EventPresenceDiff.
	StateEvent string
	DiffEvent  string
	// MaxPending and MaxPendingBytes limit how many diffs may wait for a state,
	// and how many messages may wait to be decoded, in number and in bytes. Bytes
	// count as in SubscribeOptions. If too many diffs wait for a state, the oldest
	// are dropped; that is nearly harmless, because the state includes them. If
	// too many messages wait to be decoded, all of them are dropped. The list is
	// then PresenceStale until the next state, which comes after a rejoin, or if
	// the server pushes one on request. Stats, Trace and the Logger report both.
	// Default: 524,288 and 64 MiB. Negative: no limit.
	MaxPending      int
	MaxPendingBytes int

	_ struct{}
}

// A Presence keeps the list of who is present in a channel's topic, as
// Phoenix.Presence on the server tracks it. M is the type into which metas are
// decoded: a struct with the fields that the server passes to track, or
// map[string]any or [json.RawMessage] for anything. All its methods are safe for
// concurrent use.
//
// The list is in sync once the server has sent a state. By the convention of
// Phoenix.Presence it does so after a join. When the channel is lost, the list
// stays as it is, marked as stale, until the state that follows the rejoin. The
// difference is then reported as changes.
//
// A goroutine decodes states and diffs; it lives only while there are any. What
// cannot be decoded is skipped and reported as a *ProtocolError to Trace, Logger
// and [Socket.Events]. A meta that does not decode into an M is kept, with its
// Err; of such metas only the first is reported.
type Presence[M any] struct {
	socket *Socket

	// Guarded by the socket's lock.
	feed      presenceFeed
	list      presenceList[M]
	streams   streams[presenceStep[M]]
	callbacks presenceCallbacks[M]
	misfit    bool // one was reported
}

// NewPresence makes a Presence of a channel. Make it before Join, or it may miss
// the state. It then waits for one until the next rejoin, unless the server sends
// another on request, for example from a handler that pushes Presence.list.
//
// The presence ends with its Close, or with the channel: on Leave, phx_close
// (unless RejoinOnClose is set) or the end of the socket. Then make another one.
// A nil opts means all defaults. NewPresence does not block. If the options
// cannot be used, or the socket is closed, the presence is closed from the
// beginning, and Err says why.
func NewPresence[M any](c *Channel, opts *PresenceOptions) *Presence[M] {
	s := c.socket
	p := &Presence[M]{socket: s, list: roster.NewSortedMap[PresenceEntry[M]]()}
	p.feed = presenceFeed{channel: c, owner: p, stateEvent: EventPresenceState, diffEvent: EventPresenceDiff}
	p.callbacks.queue = newStepQueue[presenceStep[M]]()
	f := &p.feed
	limit := orLimits(0, 0)
	if opts != nil {
		limit = orLimits(opts.MaxPending, opts.MaxPendingBytes)
		if opts.StateEvent != "" {
			f.stateEvent = opts.StateEvent
		}
		if opts.DiffEvent != "" {
			f.diffEvent = opts.DiffEvent
		}
	}
	f.ready.Limit, f.pending.Limit = limit, limit
	err := f.check()
	s.lock()
	defer s.unlock()
	switch {
	case err != nil:
		s.log(slog.LevelWarn, "presence", slog.String("topic", c.topic), slog.Any("err", err))
		f.err, f.over = err, true
	case s.closed:
		f.err, f.over = ErrClosed, true
	default:
		f.attach()
	}
	return p
}

func (f *presenceFeed) check() error {
	for _, o := range []struct{ field, event string }{{"StateEvent", f.stateEvent}, {"DiffEvent", f.diffEvent}} {
		if reservedEvent(o.event) {
			return &InputError{Field: "PresenceOptions." + o.field, Reason: errs.QuoteShort(o.event) + " is the protocol's own"}
		}
	}
	if f.stateEvent == f.diffEvent {
		return &InputError{Field: "PresenceOptions.DiffEvent", Reason: "the same as StateEvent"}
	}
	return nil
}

// Status returns how far you can rely on the list now.
func (p *Presence[M]) Status() PresenceStatus {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return p.feed.status()
}

// Err returns why the presence is closed: ErrChannelClosed, perhaps with a cause,
// ErrClosedByServer, ErrClosed, or an *InputError. It returns nil if the presence
// is not closed.
func (p *Presence[M]) Err() error {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return p.feed.err
}

// WaitSynced waits, also through outages, until the list is in sync. If the
// presence is closed it returns Err. When ctx is done it returns the error of
// ctx. Without a deadline in ctx it may wait for ever, if the server sends no
// state.
func (p *Presence[M]) WaitSynced(ctx context.Context) error {
	s := p.socket
	changed, unwatch := p.watch()
	defer unwatch()
	for {
		s.mu.Lock()
		status, err := p.feed.status(), p.feed.err
		s.mu.Unlock()
		if status == PresenceSynced || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctxErr(ctx)
		}
	}
}

// watch returns what receives when something has changed, and what ends that.
func (p *Presence[M]) watch() (changed chan struct{}, unwatch func()) {
	s := p.socket
	s.lock()
	defer s.unlock()
	changed = p.feed.watch()
	return changed, func() {
		s.lock()
		defer s.unlock()
		p.feed.unwatch(changed)
	}
}

// Close ends the presence. It does not leave the channel. The list stays as it
// is, loops over Changes end once they have seen it, and no more callbacks begin.
// Close may be called any number of times, and from a callback.
func (p *Presence[M]) Close() {
	p.socket.lock()
	defer p.socket.unlock()
	p.feed.cut(ErrChannelClosed)
}

// A PresenceSnapshot is the list of a [Presence] at one moment. It never changes.
// It is cheap to take and to keep, because it shares memory with the snapshots
// before and after it.
type PresenceSnapshot[M any] struct {
	list   presenceList[M]
	status PresenceStatus
}

// Snapshot returns the current list.
func (p *Presence[M]) Snapshot() PresenceSnapshot[M] {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return PresenceSnapshot[M]{p.list, p.feed.status()}
}

// All is short for Snapshot().All(). The loop does not see changes that happen
// meanwhile.
func (p *Presence[M]) All() iter.Seq[PresenceEntry[M]] { return p.Snapshot().All() }

// Get is short for Snapshot().Get(key).
func (p *Presence[M]) Get(key string) (PresenceEntry[M], bool) { return p.Snapshot().Get(key) }

// Len is short for Snapshot().Len().
func (p *Presence[M]) Len() int { return p.Snapshot().Len() }

// All returns an iterator over the entries, in the order of their keys.
func (s PresenceSnapshot[M]) All() iter.Seq[PresenceEntry[M]] {
	return func(yield func(PresenceEntry[M]) bool) {
		s.list.All(func(e *PresenceEntry[M]) bool { return yield(*e) })
	}
}

// Get returns the entry of a key, and whether there is one.
func (s PresenceSnapshot[M]) Get(key string) (PresenceEntry[M], bool) {
	if e := s.list.Get(key); e != nil {
		return *e, true
	}
	return PresenceEntry[M]{Key: key}, false
}

// Len returns how many keys there are.
func (s PresenceSnapshot[M]) Len() int { return s.list.Len() }

// Status returns how far you could rely on the list when the snapshot was taken.
func (s PresenceSnapshot[M]) Status() PresenceStatus { return s.status }

// The list itself is the work of package roster: how it is decoded, what a state
// or a diff makes of it, and what has changed between two lists.

// A PresenceEntry is who is present under one key: for example a user, with a
// meta for each device. Snapshots and changes share entries: treat them as
// read-only. Its fields are:
//
//	Key    string
//	Metas  []PresenceMeta[M] // in the order in which they came
//	Fields Payload           // a JSON object with what fetch/2 added, or {}
//
// An entry in a list has at least one meta. An entry without metas stands for
// somebody who is not present.
type PresenceEntry[M any] = roster.Entry[M, Payload]

// A PresenceMeta is one thing that the server tracks under a key, usually one
// joined channel. Its fields are:
//
//	Ref     string          // the phx_ref, which is unique
//	PrevRef string          // the phx_ref_prev, which the last update replaced, or ""
//	Value   M               // the decoded meta
//	Raw     json.RawMessage // the JSON text of the meta, with its refs
//	Err     error           // why Raw cannot be decoded into an M; Value is then zero
//
// Ref is "" if the server sends none, which is unusual. Metas are then told apart
// by their text.
type PresenceMeta[M any] = roster.Meta[M]

// PresenceKind is the kind of a [PresenceChange]. It prints as "join", "leave" or
// "update".
type PresenceKind = roster.Kind

// The kinds of changes.
const (
	// PresenceJoin: metas came, and none went.
	PresenceJoin = roster.Join
	// PresenceLeave: metas went, and none came.
	PresenceLeave = roster.Leave
	// PresenceUpdate: metas were replaced, as Presence.update does, or something
	// else in the entry changed.
	PresenceUpdate = roster.Update
)

// A PresenceChange is a change under one key. Treat it as read-only. Its fields
// are:
//
//	Kind          PresenceKind
//	Key           string
//	Joined, Left  []PresenceMeta[M] // the metas that came and went
//	Before, After PresenceEntry[M]  // the entry before and after the change
//	Resync        bool              // found by comparing the list with a new state
//
// An update has metas that came and metas that went. It has neither if only
// Fields, or the text or order of metas, changed. Before has no Metas if nobody
// was present under the key, and After has none if nobody is any more. Resync
// says that no diff told the change: it was found in a state that the server sent
// after a join or rejoin, and may have happened at any time since the list was
// last in sync.
//
// Its methods CameOnline and WentOffline report whether nobody was present under
// the key before the change, and whether nobody is after it.
type PresenceChange[M any] = roster.Change[M, Payload]

// A presenceList is who is present, by key.
type presenceList[M any] = roster.List[M, Payload]

// A presenceDecoder decodes states and diffs.
type presenceDecoder[M any] = roster.Decoder[M, Payload]

// OnJoin calls fn for each [PresenceJoin], until off is called: somebody came
// (CameOnline), or has another meta. fn is not told of joins that happened
// before.
//
// The functions of a presence are called one at a time, in the order in which
// things happened, on a goroutine of their own. So they may block, push, leave,
// call methods of the presence and close it. For one state or diff, joins and
// updates come first, in the order of the keys, then leaves, then OnSync.
//
// When off, Close of the presence, Leave, or Close of the socket is called, calls
// that still wait are dropped, as with [Channel.On]. If the functions are slow,
// changes are merged, as for a slow loop over Changes.
func (p *Presence[M]) OnJoin(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceJoin, change: fn})
}

// OnLeave calls fn for each [PresenceLeave], until off is called: somebody went
// (WentOffline), or has a meta less. The rules of OnJoin apply.
func (p *Presence[M]) OnLeave(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceLeave, change: fn})
}

// OnUpdate calls fn for each [PresenceUpdate], until off is called. An update is
// neither a leave nor a join. The rules of OnJoin apply.
func (p *Presence[M]) OnUpdate(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceUpdate, change: fn})
}

// OnSync calls fn with the list after each state, and after each diff that
// changed the list, if the list is in sync then. The rules of OnJoin apply.
func (p *Presence[M]) OnSync(fn func(PresenceSnapshot[M])) (off func()) {
	return p.on(&presenceHandler[M]{sync: fn})
}

func (p *Presence[M]) on(h *presenceHandler[M]) (off func()) {
	s, cb := p.socket, &p.callbacks
	s.lock()
	defer s.unlock()
	cb.handlers = append(slices.Clone(cb.handlers), h)
	cb.version++
	return func() {
		s.lock()
		defer s.unlock()
		h.off = true
		cb.handlers = slices.DeleteFunc(slices.Clone(cb.handlers), func(x *presenceHandler[M]) bool { return x == h })
		cb.version++
	}
}
