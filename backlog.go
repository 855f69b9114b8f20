package phoenix

import (
	"bytes"

	"github.com/phxgo/phoenix/internal/wire"
)

const (
	// messageOverhead is what a message counts in a queue besides its payload:
	// about what the Message and its slot take.
	messageOverhead = 128
	// yieldBytes is how much the reader puts behind other messages in queues
	// before it lets consumers run.
	yieldBytes = 32 << 10
	// sharedBytes is how much memory a message can hold that shares it with its
	// neighbours: a chunk of payloads and a slab of messages.
	sharedBytes = maxChunk + maxSlab*messageOverhead
	// maxSharing is how many messages of a queue may hold memory of their
	// neighbours, whatever those are.
	maxSharing = 64
)

// size returns what a message counts in a queue: its payload, an overhead, and
// names that are too long to be shared.
func (m *Message) size() int {
	n := len(m.Payload.data) + messageOverhead
	for _, name := range [...]string{m.Topic, m.Event, m.Ref, m.JoinRef, m.Status} {
		if len(name) > wire.MaxBinaryField {
			n += len(name)
		}
	}
	return n
}

// size returns what a reply counts in a queue.
func (r *Reply) size() int {
	if r == nil {
		return messageOverhead
	}
	return len(r.Response.data) + messageOverhead
}

// A backlog decides which messages of a queue get memory of their own. Messages
// share chunks with their neighbours. Where the neighbours are in the same queue,
// that saves memory. Where they are not, a queue of a few rare messages would
// hold many chunks. So a message is copied if it is not the first of the queue
// and more than three quarters of what was made lately is not in the queue: what
// waits holds at most about four times what it counts.
type backlog struct {
	made uint64 // Socket.made at the last message
	debt int    // memory of others that the queue may hold
}

// own returns the message to queue behind n others, and whether it shares memory.
func (b *backlog) own(s *Socket, m *Message, n int) (own *Message, shared bool) {
	others := int(min(s.made-b.made, sharedBytes))
	b.made = s.made
	b.debt = min(max(b.debt+others-4*m.size(), 0), sharedBytes)
	if b.debt == 0 || n < maxSharing || len(m.Payload.data) > smallPayload {
		return m, true
	}
	c := *m
	c.Payload.data = bytes.Clone(m.Payload.data)
	return &c, false
}

// queued notes that a message was put into a queue, which has n now.
func (s *Socket) queued(size, n int) {
	if n > 1 {
		s.behind += size
	}
}

// behindEnough reports whether the reader has to let the consumers run, before
// it goes on. It never waits for them: one that is slow stays behind.
func (s *Socket) behindEnough() bool {
	if s.behind < yieldBytes {
		return false
	}
	s.behind = 0
	return true
}

// countDropped counts and traces messages that were dropped because a consumer was
// slow. The lock is held.
func (s *Socket) countDropped(topic string, n int) {
	if n == 0 {
		return
	}
	s.stats.dropped += uint64(n) //nolint:gosec // the length of a queue
	if tr := s.set.Trace; tr != nil && tr.Dropped != nil {
		s.tellLater(func() { tr.Dropped(topic, n) })
	}
}
