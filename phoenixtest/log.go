package phoenixtest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// Opcode is the kind of a WebSocket frame.
type Opcode byte

// The opcodes of WebSocket frames. OpContinuation only ever begins a frame
// that a test sends by hand: fragments that arrive are logged as one frame.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// String returns the opcode's name.
func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	default:
		return fmt.Sprintf("opcode %#x", byte(o))
	}
}

// FrameKind says what an entry of the frame log records.
type FrameKind int

const (
	// FrameReceived is a frame from the client.
	FrameReceived FrameKind = iota + 1
	// FrameSent is a frame that the server has queued for the client. It is logged
	// when it is queued, even if the network then delays it.
	FrameSent
	// ConnOpened is an upgrade that was answered with 101.
	ConnOpened
	// ConnClosed is the end of a connection; Code says how.
	ConnClosed
	// ConnRefused is an upgrade that was answered with Status, or a refused dial,
	// with Status 0.
	ConnRefused
	// PollAnswered is a long-poll request that was answered. Status is the one in
	// the body, or that of HTTP if there is none.
	PollAnswered
	// Note is anything else that helps to read the log, such as the reason of
	// a crash.
	Note
)

// Frame is one entry of the frame log.
type Frame struct {
	// Time is virtual in a testing/synctest bubble.
	Time time.Time
	// Conn is the number of the connection, 0 for none.
	Conn int
	Kind FrameKind
	// Opcode is the opcode of a FrameReceived or FrameSent. Bytes sent with
	// [Conn.SendBytes] have none, but the Note "raw bytes".
	Opcode Opcode
	// Data is the payload of the frame. For a close frame it is only the reason.
	Data []byte
	// Code is the close code of a ConnClosed and of close frames. It is 1006 for a
	// connection that ended without one.
	Code int
	// Status is the HTTP status of a ConnRefused.
	Status int
	// Note is an explanation.
	Note string
}

// String returns the entry without its time, in one line.
func (f Frame) String() string {
	var b bytes.Buffer
	if f.Conn > 0 {
		fmt.Fprintf(&b, "#%d ", f.Conn)
	}
	switch f.Kind {
	case FrameReceived:
		b.WriteString("<- ")
	case FrameSent:
		b.WriteString("-> ")
	case ConnOpened:
		b.WriteString("open")
	case ConnClosed:
		fmt.Fprintf(&b, "closed %d", f.Code)
	case ConnRefused:
		b.WriteString("refused")
		if f.Status != 0 {
			fmt.Fprintf(&b, " %d", f.Status)
		}
	case PollAnswered:
		fmt.Fprintf(&b, "poll %d", f.Status)
	case Note:
	}
	if f.Kind == FrameReceived || f.Kind == FrameSent {
		f.writeContent(&b)
	}
	if f.Note != "" {
		if b.Len() > 0 && b.Bytes()[b.Len()-1] != ' ' {
			b.WriteString(": ")
		}
		b.WriteString(f.Note)
	}
	return b.String()
}

func (f Frame) writeContent(b *bytes.Buffer) {
	const longest = 1000
	data, more := f.Data, ""
	if len(data) > longest {
		data, more = data[:longest], fmt.Sprintf("… (%d bytes)", len(f.Data))
	}
	switch {
	case f.Opcode == OpClose:
		fmt.Fprintf(b, "close %d", f.Code)
		if len(data) > 0 {
			fmt.Fprintf(b, " %q", data)
		}
	case f.Opcode == OpText && utf8.Valid(f.Data):
		fmt.Fprintf(b, "%s%s", data, more)
	case f.Opcode == OpContinuation:
		fmt.Fprintf(b, "%q%s", data, more)
	default:
		fmt.Fprintf(b, "%s %q%s", f.Opcode, data, more)
	}
}

// maxLogBytes bounds what the frames of a log hold together, which a test that
// moves megabytes would otherwise multiply by thousands.
const maxLogBytes = 64 << 20

// frameLog is a bounded queue of entries.
type frameLog struct {
	limit int
	start time.Time

	mu        sync.Mutex
	ring      []entry
	next      int
	size      int
	forgotten int
	added     int
	// changed is closed with the next entry, if anybody waits for that.
	changed chan struct{}
}

type entry struct {
	frame Frame
	// data is frame.Data, shared with whoever else holds the string.
	data string
	// seq is its place in the log since the beginning.
	seq int
	// codec decodes it, if it is a message that was received.
	codec codec
}

func newFrameLog(limit int) *frameLog {
	return &frameLog{limit: limit, start: time.Now()}
}

func (l *frameLog) addBytes(f Frame, data []byte) {
	if l.limit > 0 {
		l.add(f, string(data))
	}
}

func (l *frameLog) add(f Frame, data string) { l.addEntry(f, data, nil) }

func (l *frameLog) addEntry(f Frame, data string, c codec) {
	if l.limit <= 0 {
		return
	}
	f.Time = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += len(data)
	l.added++
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, entry{frame: f, data: data, seq: l.added, codec: c})
	} else {
		l.drop(l.next)
		l.ring[l.next] = entry{frame: f, data: data, seq: l.added, codec: c}
		l.next = (l.next + 1) % l.limit
	}
	// Data is forgotten from the oldest entry on; the entries themselves stay
	// until their turn comes.
	for i := 0; l.size > maxLogBytes && i < len(l.ring); i++ {
		l.drop((l.next + i) % len(l.ring))
	}
}

// drop forgets the entry at i, which may have been forgotten before.
func (l *frameLog) drop(i int) {
	if l.ring[i].frame.Kind == 0 {
		return
	}
	l.size -= len(l.ring[i].data)
	l.ring[i] = entry{}
	l.forgotten++
}

// news returns what is closed when the log gets another entry.
func (l *frameLog) news() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// entries returns the log, oldest first, and how many entries it has lost.
func (l *frameLog) entries() ([]entry, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]entry, 0, len(l.ring))
	for i := range l.ring {
		if e := l.ring[(l.next+i)%len(l.ring)]; e.frame.Kind != 0 {
			all = append(all, e)
		}
	}
	return all, l.forgotten
}

func (l *frameLog) writeTo(w io.Writer) {
	all, forgotten := l.entries()
	if forgotten > 0 {
		fmt.Fprintf(w, "(%d earlier entries are forgotten)\n", forgotten) //nolint:errcheck // a log has nobody to tell
	}
	for _, e := range all {
		f := e.frame
		f.Data = []byte(e.data)
		fmt.Fprintf(w, "%12s %s\n", f.Time.Sub(l.start), f) //nolint:errcheck // a log has nobody to tell
	}
}
