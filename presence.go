package phoenix

import (
	"context"
	"iter"
	"log/slog"

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
	// then stale until the next state, which comes after a rejoin or if the server
	// pushes one on request: Synced is false, and Snapshots yields a stale list.
	// Stats, Trace and the Logger report both. Default: 524,288 and 64 MiB.
	// Negative: no limit.
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
	streams   []*presenceStream[M]
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
	p.callbacks.queue = newStepQueue[M]()
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

// Channel returns the channel that the presence belongs to.
func (p *Presence[M]) Channel() *Channel { return p.feed.channel }

// Status returns how far you can rely on the list now.
func (p *Presence[M]) Status() PresenceStatus {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return p.feed.status()
}

// Synced reports whether the list is that of the server.
func (p *Presence[M]) Synced() bool { return p.Status() == PresenceSynced }

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

// Synced reports whether the list was that of the server when the snapshot was
// taken.
func (s PresenceSnapshot[M]) Synced() bool { return s.status == PresenceSynced }
