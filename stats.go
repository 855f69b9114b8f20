package phoenix

import (
	"encoding/json"
	"time"
)

// A counters is the part of SocketStats that only ever grows.
type counters struct {
	connects, attempts          uint64
	reconnects                  uint64
	framesIn, framesOut         uint64
	bytesIn, bytesOut           uint64
	dropped, protocolErrors     uint64
	unanswered, unsent, orphans uint64
	castsLost, untold           uint64
	rtt                         time.Duration
	lastErr                     error
}

// SocketStats is a snapshot of the state of a socket and of its counters.
type SocketStats struct {
	State    SocketState
	Channels int // channels that are registered
	Joined   int // channels that are joined

	InFlight    int // pushes, joins, leaves and heartbeats that wait for a reply
	Queued      int // messages that wait for the network
	QueuedBytes int // bytes of their payloads
	Parked      int // pushes in the buffers of channels that are not joined; at most MaxBuffer each
	// WaitingForRoom is how many pushes wait behind full buffers of channels:
	// calls of Push, and pushes that came back from the queue of a broken
	// connection.
	WaitingForRoom int

	Attempts uint64 // attempts to connect
	Connects uint64 // attempts that led to an open connection
	// Reconnects counts the Connects that replaced a connection which was lost, or
	// which Reconnect gave up. A Connect after Disconnect does not count.
	Reconnects uint64
	// ConnectedSince is when the connection was opened. It is zero if there is
	// none.
	ConnectedSince time.Time
	// LastError is why the last attempt to connect failed, or why the last
	// connection was lost. It is nil if neither has happened. A new connection
	// does not clear it.
	LastError error

	FramesIn  uint64
	FramesOut uint64
	BytesIn   uint64 // of messages, without the transport's headers and before compression
	BytesOut  uint64

	Unsent         uint64 // pushes that were accepted and ended without having been sent
	Unanswered     uint64 // pushes that were sent and ended without a reply
	CastsLost      uint64 // casts that were accepted and are not known to have been sent
	Orphans        uint64 // replies that nobody waits for: to a Cast, or too late
	Dropped        uint64 // messages dropped because a consumer was slow
	ProtocolErrors uint64 // frames, states and diffs skipped, as a whole or in part
	Untold         uint64 // calls of Trace hooks and log records dropped because one of them blocked

	RTT time.Duration // round trip of the last heartbeat or Ping; 0 if there was none
}

// MarshalJSON returns an object with the fields under their names. LastError is
// its text.
func (st SocketStats) MarshalJSON() ([]byte, error) {
	type fields SocketStats
	var last string
	if st.LastError != nil {
		last = st.LastError.Error()
	}
	return json.Marshal(struct { //nolint:musttag // the names of the fields are the keys
		fields
		LastError string
	}{fields(st), last})
}

// Stats returns a snapshot of the state of the socket and of its counters.
func (s *Socket) Stats() SocketStats {
	s.lock()
	defer s.unlock()
	st := SocketStats{
		State:    s.state,
		Channels: len(s.channels.list),
		InFlight: s.pending.n, Queued: s.queue.N, QueuedBytes: s.queue.Bytes,
		Attempts: s.stats.attempts, Connects: s.stats.connects, Reconnects: s.stats.reconnects,
		LastError: s.stats.lastErr,
		FramesIn:  s.stats.framesIn, FramesOut: s.stats.framesOut,
		BytesIn: s.stats.bytesIn, BytesOut: s.stats.bytesOut,
		Unsent: s.stats.unsent, Unanswered: s.stats.unanswered, CastsLost: s.stats.castsLost,
		Orphans: s.stats.orphans, Dropped: s.stats.dropped, ProtocolErrors: s.stats.protocolErrors, Untold: s.stats.untold,
		RTT: s.stats.rtt,
	}
	if s.state == SocketOpen {
		st.ConnectedSince = s.openedAt
	}
	for _, c := range s.channels.list {
		parked := c.buffered()
		st.Parked += parked
		st.WaitingForRoom += c.parked.N - parked
		if c.state == ChannelJoined {
			st.Joined++
		}
	}
	return st
}
