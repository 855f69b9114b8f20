package phoenix

import (
	"time"
)

// A counters is the part of SocketStats that only ever grows.
type counters struct {
	connects, attempts          uint64
	framesIn, framesOut         uint64
	bytesIn, bytesOut           uint64
	dropped, protocolErrors     uint64
	unanswered, unsent, orphans uint64
	castsLost                   uint64
	rtt                         time.Duration
}

// SocketStats is a snapshot of what a socket has and did.
type SocketStats struct {
	State    SocketState
	Channels int // registered
	Joined   int // of them, joined now

	InFlight    int // pushes, joins, leaves and heartbeats that wait for a reply
	Queued      int // messages that wait for the network
	QueuedBytes int // of their payloads
	Parked      int // pushes in the buffers of channels that are not joined; at most MaxBuffer each
	// WaitingForRoom is how many pushes wait behind full buffers of channels: calls
	// of Push, and what came back from the queue of a connection that broke.
	WaitingForRoom int

	Attempts  uint64 // to connect
	Connects  uint64 // attempts that led to an open connection
	FramesIn  uint64
	FramesOut uint64
	BytesIn   uint64 // of frames, without the transport's headers
	BytesOut  uint64

	Unsent         uint64 // pushes that were accepted and ended without having been sent
	Unanswered     uint64 // pushes that were sent and ended without a reply
	CastsLost      uint64 // casts that were accepted and are not known to have been sent
	Orphans        uint64 // replies that nobody waits for: to a Cast, or too late
	Dropped        uint64 // messages dropped because a consumer was slow
	ProtocolErrors uint64 // frames, states and diffs skipped, as a whole or in part

	RTT time.Duration // of the last heartbeat or Ping; 0: none yet
}

// Stats returns a snapshot of what the socket has and did. It does not block.
func (s *Socket) Stats() SocketStats {
	s.lock()
	defer s.unlock()
	st := SocketStats{
		State:    s.state,
		Channels: len(s.channels.list),
		InFlight: s.pending.n, Queued: s.queue.n, QueuedBytes: s.queue.bytes,
		Attempts: s.stats.attempts, Connects: s.stats.connects,
		FramesIn: s.stats.framesIn, FramesOut: s.stats.framesOut,
		BytesIn: s.stats.bytesIn, BytesOut: s.stats.bytesOut,
		Unsent: s.stats.unsent, Unanswered: s.stats.unanswered, CastsLost: s.stats.castsLost,
		Orphans: s.stats.orphans, Dropped: s.stats.dropped, ProtocolErrors: s.stats.protocolErrors,
		RTT: s.stats.rtt,
	}
	for _, c := range s.channels.list {
		parked := c.buffered()
		st.Parked += parked
		st.WaitingForRoom += c.parked.n - parked
		if c.state == ChannelJoined {
			st.Joined++
		}
	}
	return st
}
