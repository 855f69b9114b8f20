package phoenix

import (
	"context"
	"iter"
	"log/slog"

	"github.com/phxgo/phoenix/internal/roster"
)

// The events by which Phoenix's documentation has presences sent.
const (
	EventPresenceState = "presence_state"
	EventPresenceDiff  = "presence_diff"
)

// PresenceStatus says how far the list of a [Presence] can be relied on.
type PresenceStatus int

// The statuses of a presence.
const (
	// PresenceAwaiting: no state has come yet. The list is empty.
	PresenceAwaiting PresenceStatus = iota
	// PresenceSynced: the list is that of the server, but for what is on its
	// way, and for what was malformed, which is told as a *ProtocolError.
	PresenceSynced
	// PresenceStale: the channel was lost since, or diffs were dropped. The list
	// is what it was, until the next state comes.
	PresenceStale
	// PresenceClosed: nothing more comes. What had come before a Leave may still
	// be at work on the list; loops over Changes and Snapshots end after it.
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
// default. NewPresence copies them.
type PresenceOptions struct {
	// StateEvent and DiffEvent are the events that the server sends, which must
	// differ. Default: EventPresenceState and EventPresenceDiff.
	StateEvent string
	DiffEvent  string
	// MaxPending and MaxPendingBytes are how many messages may wait for a state,
	// and how many to be decoded, in number and in bytes, as SubscribeOptions
	// count them. Of diffs that wait for a state the oldest are dropped, which is
	// as good as harmless: the state tells what they did. If more wait to be
	// decoded, all are dropped, and the list is stale until the next state, that of a
	// rejoin or one that the server pushes on request: Synced is false, and Snapshots
	// yields a stale one. Both
	// are told by Stats, Trace and the Logger. Default: 524,288 and 64 MiB;
	// negative: any number.
	MaxPending      int
	MaxPendingBytes int

	_ struct{}
}

// A Presence keeps the list of who is present in a channel's topic, as
// Phoenix.Presence on the server tracks it. M is what the metas decode into: a
// struct with the fields that the server gives to track, or map[string]any or
// [json.RawMessage] for whatever comes. All its methods are safe for concurrent
// use.
//
// The list is in sync once the server has sent a state, which it does after a
// join, by the convention of Phoenix.Presence. When the channel is lost the list
// stays as it is, marked as stale, until the state that follows the rejoin; the
// difference is told as changes then.
//
// States and diffs are decoded on a goroutine of their own, which lives while
// there are any. What cannot be decoded is skipped and reported as a
// *ProtocolError to Trace, Logger and [Socket.Events], but a meta that is no M is
// kept, with its Err. Of those only the first is reported.
type Presence[M any] struct {
	socket *Socket

	// Guarded by the socket's lock.
	feed      presenceFeed
	list      presenceList[M]
	streams   []*presenceStream[M]
	callbacks presenceCallbacks[M]
	misfit    bool // one was reported
}

// NewPresence makes a Presence of a channel. Make it before Join, or the state may
// be missed: then it awaits one until the next rejoin, unless the server sends
// another on request, as from a handler that pushes Presence.list. It ends with
// the channel, on Leave, phx_close (without RejoinOnClose) or the end of the
// socket, or with its own Close; after that, make another. It does not block, and a nil opts means all
// defaults. With options that cannot be used, or on a socket that is closed, it is
// closed from the beginning, and Err says why.
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
	f.ready.limit, f.pending.limit = limit, limit
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
			return &InputError{Field: "PresenceOptions." + o.field, Reason: quoteShort(o.event) + " is the protocol's own"}
		}
	}
	if f.stateEvent == f.diffEvent {
		return &InputError{Field: "PresenceOptions.DiffEvent", Reason: "the same as StateEvent"}
	}
	return nil
}

// Channel returns the channel that the presence belongs to.
func (p *Presence[M]) Channel() *Channel { return p.feed.channel }

// Status returns how far the list can be relied on now.
func (p *Presence[M]) Status() PresenceStatus {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return p.feed.status()
}

// Synced reports whether the list is that of the server.
func (p *Presence[M]) Synced() bool { return p.Status() == PresenceSynced }

// Err returns why the presence is closed: ErrChannelClosed, perhaps with its
// cause, ErrClosedByServer, ErrClosed, or an *InputError; nil if it is not closed.
func (p *Presence[M]) Err() error {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return p.feed.err
}

// WaitSynced waits until the list is in sync. If the presence is closed it
// returns what Err does, and when ctx is done, the ctx's error. It waits through
// outages; without a deadline in ctx it waits for ever for a server that sends no
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

// Close ends the presence and leaves the channel as it is. The list stays as it is,
// loops over Changes end once they have seen it, and callbacks do not begin any
// more. It may be called any number of times, and from a callback.
func (p *Presence[M]) Close() {
	p.socket.lock()
	defer p.socket.unlock()
	p.feed.cut(ErrChannelClosed)
}

// A PresenceSnapshot is the list of a [Presence] as it was at one moment. It
// never changes, and is cheap to take and to keep: it shares its memory with
// those before and after it.
type PresenceSnapshot[M any] struct {
	list   presenceList[M]
	status PresenceStatus
}

// Snapshot returns the list as it is now.
func (p *Presence[M]) Snapshot() PresenceSnapshot[M] {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	return PresenceSnapshot[M]{p.list, p.feed.status()}
}

// All is short for Snapshot().All(): changes during the loop are not seen in it.
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

// Status returns how far the list could be relied on when the snapshot was taken.
func (s PresenceSnapshot[M]) Status() PresenceStatus { return s.status }

// Synced reports whether the list was that of the server when the snapshot was
// taken.
func (s PresenceSnapshot[M]) Synced() bool { return s.status == PresenceSynced }
